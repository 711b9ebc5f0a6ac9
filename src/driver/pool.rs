//! One metric store that several runs ask at the same moment: what they ask of it then is one question.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use mlroll_backend::{
    Caveat, Error, Granularity, MetricSource, Query, Result, Sample, Subject, Timestamp, Usage, Window,
};

use crate::clock::Clock;

/// How long the first to ask waits for the others: looks of one length end at the same moment, and who watches them wakes
/// then, one after the other.
const GATHERING: Duration = Duration::from_millis(500);

/// What all who asked together are told.
type Answer = Arc<Result<Vec<Sample>>>;

/// A metric store and those who ask it.
#[derive(Clone, Debug)]
pub struct Pool {
    clock: Clock,
    store: Arc<dyn MetricSource>,
    gatherings: Arc<Mutex<Vec<Gathering>>>,
    members: Arc<AtomicUsize>,
}

/// Those who ask the same about other revisions.
struct Gathering {
    queries: Vec<Query>,
    windows: Vec<Window>,
    /// Whom they ask about, one after the other; `None` once the store is being asked.
    subjects: Arc<Mutex<Option<Vec<Subject>>>>,
    /// Gone when all who waited for it are.
    answer: WeakShared<BoxFuture<'static, Answer>>,
}

impl fmt::Debug for Gathering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gathering").field("subjects", &self.subjects).finish_non_exhaustive()
    }
}

/// A seat at a [`Pool`]: a source of its own to whoever has it. What the store bills is told by the pool.
#[derive(Debug)]
struct Member {
    pool: Pool,
}

impl Pool {
    /// The store, with nobody who asks yet.
    #[must_use]
    pub fn new(store: Box<dyn MetricSource>, clock: Clock) -> Self {
        Self { clock, store: store.into(), gatherings: Arc::default(), members: Arc::default() }
    }

    /// The store for one more run.
    #[must_use]
    pub fn member(&self) -> Box<dyn MetricSource> {
        self.members.fetch_add(1, Ordering::Relaxed);
        Box::new(Member { pool: self.clone() })
    }

    /// What all of them together have asked of a store that bills its answers.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.store.usage()
    }

    /// Joins those who wait to ask the same, or is the first of them; and the number of the first of `subjects` among theirs.
    fn join(
        &self,
        queries: &[Query],
        subjects: &[Subject],
        windows: &[Window],
    ) -> (usize, Shared<BoxFuture<'static, Answer>>) {
        let mut gatherings = lock(&self.gatherings);
        // Without anybody left to drive it, one would never end.
        gatherings.retain(|g| lock(&g.subjects).is_some() && g.answer.upgrade().is_some());
        for gathering in gatherings.iter().filter(|g| g.queries == queries && g.windows == windows) {
            let Some(answer) = gathering.answer.upgrade() else { continue };
            if let Some(asked) = lock(&gathering.subjects).as_mut() {
                let first = asked.len();
                asked.extend_from_slice(subjects);
                return (first, answer);
            }
        }
        let (queries, windows) = (queries.to_vec(), windows.to_vec());
        let subjects = Arc::new(Mutex::new(Some(subjects.to_vec())));
        let asking = {
            let (store, queries, windows) = (Arc::clone(&self.store), queries.clone(), windows.clone());
            let (subjects, clock) = (Arc::clone(&subjects), self.clock.clone());
            async move {
                clock.sleep(GATHERING).await;
                let all = lock(&subjects).take().unwrap_or_default();
                Arc::new(store.sample(&queries, &all, &windows).await)
            }
        };
        let answer = asking.boxed().shared();
        gatherings.extend(answer.downgrade().map(|answer| Gathering { queries, windows, subjects, answer }));
        (0, answer)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.pool.members.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl MetricSource for Member {
    async fn sample(&self, queries: &[Query], subjects: &[Subject], windows: &[Window]) -> Result<Vec<Sample>> {
        if self.pool.members.load(Ordering::Relaxed) < 2 {
            return self.pool.store.sample(queries, subjects, windows).await;
        }
        let (first, answer) = self.pool.join(queries, subjects, windows);
        let answer = answer.await;
        let all = match answer.as_ref() {
            Ok(all) => all,
            Err(e) => return Err(Error::new(e.kind(), e.operation(), e.message())),
        };
        // By query, then subject, then window: of each query, those of the others come before and after ours.
        let of_all = all.len() / queries.len().max(1);
        let (from, count) = (first * windows.len(), subjects.len() * windows.len());
        let ours = all.chunks(of_all.max(1)).flat_map(|of_query| of_query.iter().skip(from).take(count));
        Ok(ours.cloned().collect())
    }

    async fn check(&self, queries: &[Query], subjects: &[Subject], window: Window) -> Result<Vec<Sample>> {
        self.pool.store.check(queries, subjects, window).await
    }

    async fn learn(&self, subjects: &[Subject]) -> Result<()> {
        self.pool.store.learn(subjects).await
    }

    fn words(&self, query: &Query, subject: &Subject, length: Duration) -> Option<String> {
        self.pool.store.words(query, subject, length)
    }

    fn caveat(&self, query: &Query) -> Option<Caveat> {
        self.pool.store.caveat(query)
    }

    fn settle_delay(&self, query: &Query, subject: &Subject) -> Duration {
        self.pool.store.settle_delay(query, subject)
    }

    fn kept(&self, length: Duration) -> Option<Duration> {
        self.pool.store.kept(length)
    }

    async fn granularity(&self, queries: &[Query], subject: &Subject, until: Timestamp) -> Result<Option<Granularity>> {
        self.pool.store.granularity(queries, subject, until).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use futures_util::future::join_all;
    use mlroll_backend::ErrorKind;

    use super::*;

    /// Answers with what it was asked about, and counts.
    #[derive(Debug, Default)]
    struct Echo {
        asked: AtomicU64,
        slow: bool,
    }

    fn number(text: &str) -> f64 {
        text.bytes().map(f64::from).sum()
    }

    fn answer(query: &Query, subject: &Subject, window: &Window) -> Sample {
        let revision = number(subject.revision.as_str()) + number(&subject.target.to_string()) * 1e4;
        Sample::value(number(query.name()) + revision * 1e4 + window.start().unix_seconds() as f64)
    }

    #[async_trait]
    impl MetricSource for Echo {
        async fn sample(&self, queries: &[Query], subjects: &[Subject], windows: &[Window]) -> Result<Vec<Sample>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.slow {
                Clock::system().sleep(Duration::from_millis(100)).await;
            }
            if queries.contains(&Query::PendingRequests) {
                return Err(Error::new(ErrorKind::Unsupported, "Echo", "nobody is pending"));
            }
            let all = queries
                .iter()
                .flat_map(|q| subjects.iter().flat_map(move |s| windows.iter().map(move |w| answer(q, s, w))));
            Ok(all.collect())
        }

        async fn check(&self, queries: &[Query], subjects: &[Subject], window: Window) -> Result<Vec<Sample>> {
            self.sample(queries, subjects, &[window]).await
        }

        fn usage(&self) -> Option<Usage> {
            Some(Usage { calls: self.asked.load(Ordering::Relaxed), series: 0 })
        }

        fn settle_delay(&self, _: &Query, _: &Subject) -> Duration {
            Duration::ZERO
        }
    }

    fn subjects(of: u8, count: u8) -> Vec<Subject> {
        let target = format!("lambda:us-east-1/f{of}@prod").parse().unwrap();
        let subject = |n: u8| Subject::new(Clone::clone(&target), n.to_string().parse().unwrap());
        (1..=count).map(subject).collect()
    }

    fn windows(count: i64) -> Vec<Window> {
        let at = |n: i64| Timestamp::from_unix_seconds(1_800_000_000 + n * 60).unwrap();
        (0..count).map(|n| Window::new(at(n), at(n + 1)).unwrap()).collect()
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    /// Whatever is asked together, each is told what it would be told alone.
    #[test]
    fn who_asks_the_same_at_the_same_moment_asks_once_and_is_told_of_its_own() {
        run(async {
            for (queries, windows) in [
                (vec![Query::ErrorRate], windows(1)),
                (vec![Query::ErrorRate, Query::Latency, Query::Requests], windows(3)),
                (vec![Query::ErrorRate, Query::Latency], windows(0)),
            ] {
                let pool = Pool::new(Box::<Echo>::default(), Clock::system());
                let members: Vec<_> = (0..5).map(|_| pool.member()).collect();
                let asking = members.iter().zip(0..).map(|(member, of)| {
                    let (queries, windows) = (&queries, &windows);
                    async move {
                        let subjects = subjects(of, 1 + of % 3);
                        let told = member.sample(queries, &subjects, windows).await.unwrap();
                        assert_eq!(told, Echo::default().sample(queries, &subjects, windows).await.unwrap());
                    }
                });
                join_all(asking).await;
                assert_eq!(pool.usage().unwrap().calls, 1);
            }
        });
    }

    #[test]
    fn other_questions_other_moments_and_the_last_one_left_are_asked_apart() {
        run(async {
            let pool = Pool::new(Box::<Echo>::default(), Clock::system());
            let (one, two) = (pool.member(), pool.member());
            let (ours, theirs) = (subjects(1, 2), subjects(2, 2));
            let calls = || pool.usage().unwrap().calls;
            let (errors, latency) = ([Query::ErrorRate], [Query::Latency]);
            let windows = windows(2);
            let _ = tokio::join!(one.sample(&errors, &ours, &windows), two.sample(&latency, &theirs, &windows));
            assert_eq!(calls(), 2, "other queries");
            let _ =
                tokio::join!(one.sample(&errors, &ours, &windows[..1]), two.sample(&errors, &theirs, &windows[1..]));
            assert_eq!(calls(), 4, "other windows");
            one.sample(&errors, &ours, &windows).await.unwrap();
            two.sample(&errors, &theirs, &windows).await.unwrap();
            assert_eq!(calls(), 6, "one after the other");
            let (ours, theirs) = tokio::join!(
                one.sample(&errors, &ours, &windows),
                two.sample(&[Query::PendingRequests], &theirs, &windows)
            );
            assert!(ours.is_ok());
            assert_eq!(theirs.unwrap_err().message(), "nobody is pending");
            drop(two);
            let told = one.sample(&errors, &subjects(1, 2), &windows).now_or_never();
            assert!(told.is_some_and(|told| told.is_ok()), "who is alone waits for nobody");
        });
    }

    /// Who was first may be interrupted, or out of time.
    #[test]
    fn who_gives_up_takes_nobody_along() {
        run(async {
            for slow in [false, true] {
                let pool = Pool::new(Box::new(Echo { slow, ..Echo::default() }), Clock::system());
                let (first, second) = (pool.member(), pool.member());
                let (ours, theirs, windows) = (subjects(1, 2), subjects(2, 2), windows(2));
                let queries = [Query::ErrorRate];
                let gives_up = tokio::time::timeout(Duration::from_millis(10), first.sample(&queries, &ours, &windows));
                let (gone, told) = tokio::join!(gives_up, second.sample(&queries, &theirs, &windows));
                assert!(gone.is_err());
                assert_eq!(told.unwrap(), Echo::default().sample(&queries, &theirs, &windows).await.unwrap());
                assert_eq!(pool.usage().unwrap().calls, 1);
                // Alone, and given up: the next one is not kept waiting for an answer that nobody fetches.
                let alone = tokio::time::timeout(Duration::from_millis(10), first.sample(&queries, &ours, &windows));
                assert!(alone.await.is_err());
                let told = second.sample(&queries, &theirs, &windows).await;
                assert_eq!(told.unwrap().len(), 4);
            }
        });
    }
}
