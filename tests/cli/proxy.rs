//! A network that lets nobody out but by way of a proxy.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::world::World;

/// `me:verysecretkey`, as the header of a proxy has it.
const WHO: &str = "Basic bWU6dmVyeXNlY3JldGtleQ==";

/// A proxy that takes nobody anywhere, and the requests that it was sent.
struct Proxy {
    address: String,
    heard: Receiver<Vec<String>>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://me:verysecretkey@{}", listener.local_addr().unwrap());
        let (said, heard) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                if said.send(head).is_err() {
                    return;
                }
                let refused = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                drop((&stream).write_all(refused));
            }
        });
        Self { address, heard }
    }

    fn hears(&self) -> Option<Vec<String>> {
        self.heard.recv_timeout(Duration::from_secs(60)).ok()
    }
}

/// Where nothing is this machine's own: the clouds' public endpoints.
fn abroad(proxy: &Proxy) -> World {
    World::new()
        .unset("AWS_ENDPOINT_URL_LAMBDA")
        .set("HTTPS_PROXY", &proxy.address)
        .set("GOOGLE_OAUTH_ACCESS_TOKEN", "token")
        .set("AZURE_ACCESS_TOKEN", "token")
}

#[test]
fn each_cloud_is_asked_by_way_of_it() {
    for (target, host) in [
        ("lambda:eu-west-1/fraud@prod", "lambda.eu-west-1.amazonaws.com"),
        ("sagemaker:us-east-1/fraud", "api.sagemaker.us-east-1.amazonaws.com"),
        ("cloud-run:acme/europe-west3/fraud", "run.googleapis.com"),
        ("azure-ml:00000000-0000-0000-0000-000000000000/ml/prod/fraud", "management.azure.com"),
    ] {
        let proxy = Proxy::start();
        let mut asking = abroad(&proxy).command(&["status", "--target", target]).spawn().unwrap();
        let head = proxy.hears();
        asking.kill().unwrap();
        asking.wait().unwrap();
        let head = head.unwrap_or_else(|| panic!("{target}: nobody asked"));
        assert_eq!(head[0], format!("CONNECT {host}:443 HTTP/1.1"), "{target}");
        assert!(
            head.iter().any(|line| line.to_lowercase().starts_with("proxy-auth") && line.ends_with(WHO)),
            "{head:?}"
        );
    }
}

#[test]
fn a_proxy_that_refuses_is_told_without_its_password() {
    let proxy = Proxy::start();
    let ran = abroad(&proxy).run(&["rollback", "--target", "lambda:eu-west-1/fraud@prod"]);
    ran.expect(7).says("no connection to the provider").says("the proxy that HTTPS_PROXY names");
}

#[test]
fn a_store_is_asked_by_way_of_it() {
    let proxy = Proxy::start();
    let world = World::new().set("HTTPS_PROXY", &proxy.address);
    world.write(
        "mlroll.toml",
        "[services.fraud]\ntarget = \"lambda:us-east-1/fraud@prod\"\nsteps = [\"10%\", \"100%\"]\n\
         [services.fraud.metrics]\nsource = \"prometheus\"\nurl = \"https://metrics.example\"\npreset = \"fastapi\"\n\
         [[services.fraud.gates]]\nmetric = \"error_rate\"\nmax = \"1%\"\n",
    );
    let mut asking = world.command(&["plan", "--candidate", "3"]).spawn().unwrap();
    let head = proxy.hears();
    asking.kill().unwrap();
    asking.wait().unwrap();
    assert_eq!(head.unwrap()[0], "CONNECT metrics.example:443 HTTP/1.1");
}

#[test]
fn this_machine_and_what_is_excepted_are_asked_directly() {
    let proxy = Proxy::start();
    let world = World::with_canary("10").set("HTTPS_PROXY", &proxy.address).set("HTTP_PROXY", &proxy.address);
    world.verb(&["rollback"]).0.expect(0);
    for endpoint in ["https://localhost:9", "https://127.0.0.1:9", "https://[::1]:9"] {
        let world = World::new().set("HTTPS_PROXY", &proxy.address).set("AWS_ENDPOINT_URL_LAMBDA", endpoint);
        world.verb(&["rollback"]).0.expect(7).says("Connection refused");
    }
    let excepted = abroad(&proxy).set("NO_PROXY", "other.example,.invalid");
    let excepted = excepted.set("AWS_ENDPOINT_URL_LAMBDA", "https://lambda.invalid");
    excepted.verb(&["rollback"]).0.expect(7);
    assert!(proxy.heard.try_recv().is_err());
}

#[test]
fn what_is_no_proxy_is_a_usage_error() {
    let world = World::new().set("https_proxy", "socks5://me:verysecretkey@proxy:1080");
    let (ran, _) = world.verb(&["rollback"]);
    ran.expect(2).says("https_proxy must be http://HOST:PORT or https://HOST:PORT");
}
