//! One metric store that several runs ask at the same moment, each by a source of its own: what they ask of it then is one question.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use mlroll_backend::{
    Caveat, Error, ErrorKind, Granularity, Inquiry, MetricSource, Query, Result, Sample, Subject, Timestamp, Usage,
    Window,
};

use crate::clock::Clock;

/// How long the first to ask waits for the others: looks of one length end at the same moment, and who watches them wakes
/// then, one after the other.
const GATHERING: Duration = Duration::from_millis(500);

/// What all who asked together are told, each in its place.
type Answer = Arc<Vec<Result<Vec<Sample>>>>;

/// Those who ask one metric store.
#[derive(Clone, Debug)]
pub struct Pool {
    clock: Clock,
    gatherings: Arc<Mutex<Vec<Gathering>>>,
    /// Of all who have or had a seat.
    sources: Arc<Mutex<Vec<Arc<dyn MetricSource>>>>,
    members: Arc<AtomicUsize>,
}

/// What one of them asks.
#[derive(Clone, Debug)]
struct Question {
    source: Arc<dyn MetricSource>,
    queries: Vec<Query>,
    subjects: Vec<Subject>,
}

impl Question {
    fn inquiry(&self) -> Inquiry<'_> {
        Inquiry { source: self.source.as_ref(), queries: &self.queries, subjects: &self.subjects }
    }
}

/// Those who ask about the same windows.
struct Gathering {
    windows: Vec<Window>,
    /// What they ask; `None` once the store is being asked.
    questions: Arc<Mutex<Option<Vec<Question>>>>,
    /// Gone when all who waited for it are.
    answer: WeakShared<BoxFuture<'static, Answer>>,
}

impl fmt::Debug for Gathering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gathering").field("questions", &self.questions).finish_non_exhaustive()
    }
}

/// A seat at a [`Pool`]. What the store bills is told by the pool.
#[derive(Debug)]
struct Member {
    pool: Pool,
    source: Arc<dyn MetricSource>,
}

impl Pool {
    /// Nobody yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, gatherings: Arc::default(), sources: Arc::default(), members: Arc::default() }
    }

    /// A seat for one more run, which reads the store by this source.
    #[must_use]
    pub fn seat(&self, source: Box<dyn MetricSource>) -> Box<dyn MetricSource> {
        let source: Arc<dyn MetricSource> = source.into();
        lock(&self.sources).push(Arc::clone(&source));
        self.members.fetch_add(1, Ordering::Relaxed);
        Box::new(Member { pool: self.clone(), source })
    }

    /// What all of them together have asked of a store that bills its answers.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        lock(&self.sources).iter().filter_map(|source| source.usage()).reduce(|all, one| all.plus(one, 1))
    }

    /// Joins those who wait to ask about the same windows, or is the first of them; and its place among them.
    fn join(&self, question: Question, windows: &[Window]) -> (usize, Shared<BoxFuture<'static, Answer>>) {
        let mut gatherings = lock(&self.gatherings);
        // Without anybody left to drive it, one would never end.
        gatherings.retain(|g| lock(&g.questions).is_some() && g.answer.upgrade().is_some());
        for gathering in gatherings.iter().filter(|g| g.windows == windows) {
            let Some(answer) = gathering.answer.upgrade() else { continue };
            if let Some(asked) = lock(&gathering.questions).as_mut() {
                asked.push(question);
                return (asked.len() - 1, answer);
            }
        }
        let windows = windows.to_vec();
        let questions = Arc::new(Mutex::new(Some(vec![question])));
        let asking = {
            let (questions, clock, windows) = (Arc::clone(&questions), self.clock.clone(), windows.clone());
            async move {
                clock.sleep(GATHERING).await;
                let all = lock(&questions).take().unwrap_or_default();
                let inquiries: Vec<Inquiry<'_>> = all.iter().map(Question::inquiry).collect();
                Arc::new(match all.first() {
                    Some(first) => first.source.sample_together(&inquiries, &windows).await,
                    None => Vec::new(),
                })
            }
        };
        let answer = asking.boxed().shared();
        gatherings.extend(answer.downgrade().map(|answer| Gathering { windows, questions, answer }));
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
            return self.source.sample(queries, subjects, windows).await;
        }
        let (queries, subjects) = (queries.to_vec(), subjects.to_vec());
        let question = Question { source: Arc::clone(&self.source), queries, subjects };
        let (at, answer) = self.pool.join(question, windows);
        match answer.await.get(at) {
            Some(Ok(samples)) => Ok(samples.clone()),
            Some(Err(e)) => Err(Error::new(e.kind(), e.operation(), e.message())),
            None => Err(Error::new(ErrorKind::Unexpected, "metrics", "the store left a question out")),
        }
    }

    async fn check(&self, queries: &[Query], subjects: &[Subject], window: Window) -> Result<Vec<Sample>> {
        self.source.check(queries, subjects, window).await
    }

    async fn learn(&self, subjects: &[Subject]) -> Result<()> {
        self.source.learn(subjects).await
    }

    fn words(&self, query: &Query, subject: &Subject, length: Duration) -> Option<String> {
        self.source.words(query, subject, length)
    }

    fn caveat(&self, query: &Query) -> Option<Caveat> {
        self.source.caveat(query)
    }

    fn settle_delay(&self, query: &Query, subject: &Subject) -> Duration {
        self.source.settle_delay(query, subject)
    }

    fn kept(&self, length: Duration) -> Option<Duration> {
        self.source.kept(length)
    }

    async fn granularity(&self, queries: &[Query], subject: &Subject, until: Timestamp) -> Result<Option<Granularity>> {
        self.source.granularity(queries, subject, until).await
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

        /// Counts as one for all.
        async fn sample_together(&self, inquiries: &[Inquiry<'_>], windows: &[Window]) -> Vec<Result<Vec<Sample>>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.slow {
                Clock::system().sleep(Duration::from_millis(100)).await;
            }
            let uncounted = Self::default();
            let mut told = Vec::new();
            for Inquiry { queries, subjects, .. } in inquiries {
                told.push(uncounted.sample(queries, subjects, windows).await);
            }
            told
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
    fn who_asks_at_the_same_moment_asks_once_and_is_told_of_its_own() {
        run(async {
            let all = [Query::ErrorRate, Query::Latency, Query::PendingRequests, Query::Requests];
            for windows in [windows(1), windows(3), windows(0)] {
                let pool = Pool::new(Clock::system());
                let members: Vec<_> = (0..5).map(|_| pool.seat(Box::<Echo>::default())).collect();
                let asking = members.iter().zip(0..).map(|(member, of)| {
                    let (queries, windows) = (&all[usize::from(of) % 3..][..1 + usize::from(of) % 2], &windows);
                    async move {
                        let subjects = subjects(of, 1 + of % 3);
                        let told = member.sample(queries, &subjects, windows).await;
                        let alone = Echo::default().sample(queries, &subjects, windows).await;
                        let said = |told: Result<Vec<Sample>>| told.map_err(|e| e.message().to_owned());
                        assert_eq!(said(told), said(alone));
                    }
                });
                join_all(asking).await;
                assert_eq!(pool.usage().unwrap().calls, 1);
            }
        });
    }

    #[test]
    fn other_moments_and_the_last_one_left_are_asked_apart() {
        run(async {
            let pool = Pool::new(Clock::system());
            let (one, two) = (pool.seat(Box::<Echo>::default()), pool.seat(Box::<Echo>::default()));
            let (ours, theirs) = (subjects(1, 2), subjects(2, 2));
            let calls = || pool.usage().unwrap().calls;
            let (errors, latency) = ([Query::ErrorRate], [Query::Latency]);
            let windows = windows(2);
            let _ = tokio::join!(one.sample(&errors, &ours, &windows), two.sample(&latency, &theirs, &windows));
            assert_eq!(calls(), 1, "other queries");
            let _ =
                tokio::join!(one.sample(&errors, &ours, &windows[..1]), two.sample(&errors, &theirs, &windows[1..]));
            assert_eq!(calls(), 3, "other windows");
            one.sample(&errors, &ours, &windows).await.unwrap();
            two.sample(&errors, &theirs, &windows).await.unwrap();
            assert_eq!(calls(), 5, "one after the other");
            let (ours, theirs) = tokio::join!(
                one.sample(&errors, &ours, &windows),
                two.sample(&[Query::PendingRequests], &theirs, &windows)
            );
            assert!(ours.is_ok());
            assert_eq!(theirs.unwrap_err().message(), "nobody is pending");
            drop(two);
            let told = one.sample(&errors, &subjects(1, 2), &windows).now_or_never();
            assert!(told.is_some_and(|told| told.is_ok()), "who is alone waits for nobody");
            assert_eq!(calls(), 7, "what who has left had asked is counted still");
        });
    }

    /// Who was first may be interrupted, or out of time.
    #[test]
    fn who_gives_up_takes_nobody_along() {
        run(async {
            for slow in [false, true] {
                let pool = Pool::new(Clock::system());
                let [first, second] = [(); 2].map(|()| pool.seat(Box::new(Echo { slow, ..Echo::default() })));
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
