use std::time::Duration;

use mlroll_faults::{Fault, Kind, Options, RateLimit, Server};

use crate::client::{Client, PROD, server};

#[test]
fn requests_beyond_the_bucket_are_throttled_over_all_connections() {
    let server = server();
    server.set_rate_limit(Some(RateLimit { per_second: 0.001, burst: 3 }));
    let statuses: Vec<u16> = (0..5).map(|_| Client::new(&server).get(PROD).status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    let throttled = Client::new(&server).get(PROD);
    let expected = (429, "TooManyRequestsException".to_owned(), "Rate Exceeded.".to_owned());
    assert_eq!(throttled.error(), expected);
    assert_eq!(throttled.json()["Reason"], "CallerRateLimitExceeded");
    assert_eq!(throttled.json()["Type"], "User");

    server.set_rate_limit(None);
    assert_eq!(Client::new(&server).get(PROD).status, 200);
}

#[test]
fn the_bucket_fills_up_again() {
    let limit = RateLimit { per_second: 1000.0, burst: 1 };
    let server = Server::start_with(Options { rate_limit: Some(limit), ..Options::default() });
    let mut client = Client::new(&server);
    let mut reached = 0;
    while reached < 3 {
        reached += u32::from(client.get(PROD).status == 404);
    }
}

#[test]
fn throttled_requests_count_for_no_fault() {
    let server = server();
    server.set_rate_limit(Some(RateLimit { per_second: 0.001, burst: 0 }));
    server.fault(Fault::any().kind(Kind::throttled(Some(Duration::from_secs(7)))));
    let mut client = Client::new(&server);
    assert_eq!(client.get(PROD).header("retry-after"), "");
    server.set_rate_limit(None);
    let throttled = client.get(PROD);
    assert_eq!((throttled.status, throttled.header("retry-after")), (429, "7"));
    assert_eq!(client.get(PROD).status, 200);
}
