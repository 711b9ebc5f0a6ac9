//! Several sources that are asked at the same moment, each with gates of its own.

use mlroll_backend::Inquiry;

use super::*;

/// A function's version and an endpoint's variant, and what is asked of each.
fn asked() -> [(Vec<Query>, Vec<Subject>); 2] {
    [
        (vec![Query::ErrorRate, Query::Latency], versions().to_vec()),
        (vec![Query::Latency, Query::Requests], variant().to_vec()),
    ]
}

/// Two sources of one store, which count other latencies.
async fn sources(server: &Server) -> [CloudWatch; 2] {
    let other = Settings { slower_than: vec![0.5], ..Settings::default() };
    [source(server).await, CloudWatch { settings: other, ..source(server).await }]
}

async fn together(sources: &[CloudWatch; 2], asked: &[(Vec<Query>, Vec<Subject>)]) -> Vec<Result<Vec<Sample>, String>> {
    let inquiry = |(source, (queries, subjects)): (_, &'_ (Vec<Query>, Vec<Subject>))| {
        (source, queries.clone(), subjects.clone())
    };
    let all: Vec<_> = sources.iter().zip(asked).map(inquiry).collect();
    let inquiries: Vec<Inquiry<'_>> =
        all.iter().map(|(source, queries, subjects)| Inquiry { source: *source, queries, subjects }).collect();
    let told = sources[0].sample_together(&inquiries, &windows(3, 60)).await;
    told.into_iter().map(|told| told.map_err(|e| e.message().to_owned())).collect()
}

async fn alone(sources: &[CloudWatch; 2], asked: &[(Vec<Query>, Vec<Subject>)]) -> Vec<Result<Vec<Sample>, String>> {
    let mut told = Vec::new();
    for (source, (queries, subjects)) in sources.iter().zip(asked) {
        let samples = source.sample(queries, subjects, &windows(3, 60)).await;
        told.push(samples.map_err(|e| e.message().to_owned()));
    }
    told
}

/// Another number for each series, as many above a threshold as not.
fn number(wanted: &Wanted) -> f64 {
    match wanted.statistic.as_str() {
        "SampleCount" => 40.0,
        statistic if statistic.starts_with("TC") => 20.0,
        _ if wanted.metric == "Errors" => 3.0,
        _ => 40.0 + wanted.dimensions.len() as f64,
    }
}

#[tokio::test]
async fn one_request_answers_all_and_each_is_told_what_it_asked() {
    let server = store(|wanted| Some(number(wanted)));
    let sources = sources(&server).await;
    let told = together(&sources, &asked()).await;
    assert_eq!(server.requests().len(), 1);
    assert_eq!(told, alone(&sources, &asked()).await);
    assert_eq!(told[0].as_ref().unwrap()[0], Sample::counts(43.0, 3.0));
    let Sample::Histogram(latency) = &told[1].as_ref().unwrap()[0] else { panic!("{told:?}") };
    assert_eq!(latency.buckets(), [(0.5, 20.0), (f64::INFINITY, 40.0)]);
    let sent = sources.iter().map(|source| source.usage().unwrap()).reduce(|all, one| all.plus(one, 1)).unwrap();
    assert_eq!(sent.calls, server.requests().len() as u64);
}

/// CloudWatch refuses all that was sent together; and what nobody can ask keeps nobody else from asking.
#[tokio::test]
async fn what_is_wrong_with_one_is_told_to_that_one_only() {
    let server = Server::start(|_, request| {
        let asked = cbor::read(request);
        if asked.series.values().any(|wanted| wanted.namespace == "AWS/SageMaker") {
            return error(400, "ValidationError");
        }
        let told = |wanted: &Wanted| Told::complete(vec![(asked.start, number(wanted))]);
        page(asked.series.iter().map(|(id, wanted)| (id.clone(), told(wanted))), None)
    });
    let sources = sources(&server).await;
    let told = together(&sources, &asked()).await;
    assert_eq!(server.requests().len(), 3, "once for both, and then for each");
    assert_eq!(told[0].as_ref().unwrap()[0], Sample::counts(43.0, 3.0));
    for sample in told[1].as_ref().unwrap() {
        assert!(matches!(sample, Sample::NoData(Why::Failed { kind: ErrorKind::Invalid, .. })), "{sample:?}");
    }

    let [ours, (_, subjects)] = asked();
    let told = together(&sources, &[ours, (vec![Query::PendingRequests], subjects)]).await;
    assert_eq!(server.requests().len(), 4);
    assert_eq!(told[0].as_ref().unwrap()[0], Sample::counts(43.0, 3.0));
    assert!(told[1].as_ref().unwrap_err().contains("pending_requests"), "{told:?}");
}
