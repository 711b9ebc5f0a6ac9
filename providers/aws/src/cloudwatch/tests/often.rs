//! How often there are points, and how long they are kept.

use super::*;

/// Points that grow old are added up.
#[tokio::test]
async fn windows_are_kept_as_long_as_points_of_their_length() {
    let server = store(|_| None);
    let source = source(&server).await;
    for (seconds, hours) in [(10, 3), (30, 3), (60, 360), (420, 360), (300, 1_512), (900, 1_512), (3_600, 10_920)] {
        let kept = source.kept(Duration::from_secs(seconds));
        assert_eq!(kept, Some(Duration::from_secs(hours * 3_600)), "{seconds}");
    }
}

/// Whether there is a point at a moment.
type Has = fn(i64) -> bool;

/// An endpoint that says that it publishes every ten seconds, and of which the store has minutes, would look silent for most of them.
#[tokio::test]
async fn what_is_not_published_as_often_as_it_should_be_is_found_before_traffic_moves() {
    let every = |seconds| Machines { every: Some(Duration::from_secs(seconds)), ..Machines::default() };
    let cases: [(Has, u64); 5] = [
        (|_| true, 10),
        (|at| at % 60 == 0, 60),
        // Most of it is gone; nothing is there; hardly anybody comes.
        (|at| at >= BEGIN - 30, 10),
        (|_| false, 10),
        (|at| at % 300 == 0, 10),
    ];
    for (has, expected) in cases {
        let server = told(move |asked, _| {
            let periods = (asked.start..asked.end).step_by(usize::try_from(asked.period).unwrap());
            Told::complete(periods.filter(|at| has(*at)).map(|at| (at, 7.0)).collect())
        });
        let machines = [(variant()[0].target.clone(), every(10))];
        let source = CloudWatch { machines: Mutex::new(machines.into()), ..source(&server).await };
        let until = Timestamp::from_unix_seconds(BEGIN + 50).unwrap();
        let found = source.granularity(&[Query::ErrorRate], &variant()[0], until).await.unwrap().unwrap();
        assert_eq!(found.shortest.as_secs(), expected, "{found:?}");
        assert_eq!(server.requests().len(), 1);
    }
    let server = store(|_| None);
    for seconds in [60, 300] {
        let machines = [(variant()[0].target.clone(), every(seconds))];
        let source = CloudWatch { machines: Mutex::new(machines.into()), ..source(&server).await };
        let until = Timestamp::from_unix_seconds(BEGIN).unwrap();
        let found = source.granularity(&[Query::ErrorRate], &variant()[0], until).await.unwrap().unwrap();
        assert_eq!(found.shortest.as_secs(), seconds);
    }
    assert!(server.requests().is_empty());
}
