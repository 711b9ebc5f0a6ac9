//! Which certificates are trusted. Those in `tests/tls` are for 127.0.0.1 and for this test only: their authority's key was
//! thrown away.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use mlroll_backend::{ErrorKind, MetricSource, Query, Sample, Subject, Timestamp, Window};
use mlroll_prometheus::{Auth, Limits, Prometheus, Secret, Settings};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A store behind TLS, whose certificate the system does not know.
fn start() -> String {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            // The request is small: it comes in one or two pieces, and only its head matters.
            if !stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
                continue;
            }
            let body =
                r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[60,"3"]}]}}"#;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    url
}

#[tokio::test]
async fn a_certificate_is_trusted_when_it_is_said_to_be() {
    let limits = Limits { attempts: 1, ..Limits::default() };
    let settings = Settings { url: start(), auth: Auth::Bearer(Secret::new("hunter2")), limits, ..Settings::default() };
    let subject = Subject::new("lambda:eu-west-1/fraud@prod".parse().unwrap(), "42".parse().unwrap());
    let end = Timestamp::from_unix_seconds(60).unwrap();
    let window = Window::within(Timestamp::epoch(), end, Duration::from_secs(60)).unwrap().next().unwrap();
    let queries = [Query::Custom("vector(3)".to_owned())];

    let ca = Some(include_bytes!("tls/ca.pem").to_vec());
    let trusting = Prometheus::new(&Settings { ca, ..settings.clone() }).unwrap();
    let found = trusting.check(&queries, std::slice::from_ref(&subject), window).await.unwrap();
    assert_eq!(found, [Sample::value(3.0)]);

    let wary = Prometheus::new(&settings).unwrap();
    let error = wary.check(&queries, &[subject], window).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("certificate"), "{error}");
}
