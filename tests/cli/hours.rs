//! Rollouts of hours, in scaled time.

use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::look;
use crate::scaled::{FastClock, GATES, Reply, Store, config, healthy, share};
use crate::watched::{ROLLOUT, end, start};
use crate::world::{FRAUD, World};

/// A store in which everybody is well, at 100 requests a second shared by the alias' weights.
fn healthy_store(world: &Arc<World>) -> Store {
    let world = Arc::clone(world);
    Store::start(move |asked| Reply::Body(healthy(asked, 6000.0 * share(&world, &asked.revision))))
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    /// The most memory it had at once, in KiB: all of it, with the pages of its own code that were touched.
    peak: u64,
    /// What it has of that for itself now, without code.
    own: u64,
    /// Time on a processor.
    busy: Duration,
}

/// `None` where there is no /proc, and when the process has ended.
fn usage(child: &Child) -> Option<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let kib = |name: &str| status.lines().find_map(|l| l.strip_prefix(name))?.split_whitespace().next()?.parse().ok();
    let (peak, own) = (kib("VmHWM:")?, kib("RssAnon:")?);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).ok()?;
    let fields: Vec<u64> = stat.rsplit(')').next()?.split_whitespace().skip(11).map_while(|n| n.parse().ok()).collect();
    // User and system, in ticks of 10 ms.
    Some(Usage { peak, own, busy: Duration::from_millis(10 * (fields.first()? + fields.get(1)?)) })
}

#[test]
fn six_hours_stay_small() {
    let clock = FastClock::start(1000.0);
    let world = Arc::new(World::new().set("MLROLL_CLOCK", &clock.url));
    let store = healthy_store(&world);
    let hours = r#"
steps = ["1%", "5%", "25%", "50%", "100%"]
bake = "1h"
min_bake = "1h"
warm_up = "0s"
look = "60s"
watch_after = "2h"
"#;
    world.write("mlroll.toml", &config(store.port, hours, GATES));
    let began = Instant::now();
    let mut child = start(&world, &ROLLOUT);
    let mut used = Usage::default();
    let mut early = None;
    while child.try_wait().unwrap().is_none() {
        used = usage(&child).unwrap_or(used);
        if clock.between(began, Instant::now()) > Duration::from_secs(2 * 3600) {
            early.get_or_insert(used);
        }
        assert!(began.elapsed() < Duration::from_secs(600), "six hours take too long");
        std::thread::sleep(Duration::from_millis(20));
    }
    let ran = end(child).expect(0);
    let document = ran.json();
    let looks = document["findings"][0]["looks"].as_u64().unwrap();
    assert_eq!((&document["outcome"], world.split().as_str()), (&"promoted".into(), "3"));
    assert!(clock.between(began, Instant::now()) >= Duration::from_secs(6 * 3600));
    assert!(looks >= 350, "{looks}");
    // The code of an unoptimized build is several times that of a release, in which all of it together stays below this.
    let most = if cfg!(debug_assertions) { used.own } else { used.peak };
    assert!(most < 30 * 1024, "{used:?}");
    let early = early.unwrap();
    assert!(used.own < early.own + 4096 && used.peak < early.peak + 8192, "it grows: {early:?}, then {used:?}");
    // Unoptimized, and with the queries: what is left of a look is measured below.
    assert!(used.busy < Duration::from_millis(250 * looks), "{used:?}");
}

#[test]
fn moving_the_clock_wakes_whoever_waits() {
    let clock = FastClock::start(1.0);
    let world = Arc::new(World::new().set("MLROLL_CLOCK", &clock.url));
    let store = healthy_store(&world);
    world.write("mlroll.toml", &config(store.port, "steps = [\"10%\", \"100%\"]\nwatch_after = \"30m\"", GATES));
    let began = Instant::now();
    let mut child = start(&world, &ROLLOUT);
    while child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(300), "nobody wakes");
        clock.advance(Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(100));
    }
    end(child).expect(0);
    assert_eq!(world.split(), "3");
    // The note that travels with the traffic is in the clock's time.
    let at = world.alias().description.split("at=").nth(1).unwrap().split([' ', ']']).next().unwrap().parse::<i64>();
    let begins = "2026-11-21T03:00:00Z".parse::<mlroll_backend::Timestamp>().unwrap().unix_seconds();
    assert!((begins..begins + 86_400).contains(&at.unwrap()));
}

#[test]
fn a_clock_that_cannot_be_read_stops_everything_but_what_needs_none() {
    let stray = Store::start(|_| Reply::Body(serde_json::json!({ "status": "success" })));
    let stray = format!("http://127.0.0.1:{}", stray.port);
    for (url, why) in [
        ("http://127.0.0.1:1", "does not answer"),
        ("http://192.0.2.1", "loopback"),
        ("https://127.0.0.1", "loopback"),
        ("soon", "loopback"),
        (stray.as_str(), "does not tell the time"),
    ] {
        let world = World::new().set("MLROLL_CLOCK", url);
        for verb in [&["status"][..], &["rollback"], &["canary", "--pct", "10"], &["promote", "--force"]] {
            let arguments = [verb, &["--target", FRAUD]].concat();
            world.run(&arguments).expect(2).says("MLROLL_CLOCK").says(why);
        }
        assert!(world.server.requests().is_empty());
        world.run(&["completions", "bash"]).expect(0);
    }
}

#[test]
fn scaled_time_never_leaves_this_machine() {
    let clock = FastClock::start(60.0);
    let verbs: [&[&str]; 4] =
        [&["status"], &["rollback"], &["canary", "--pct", "10"], &["canary", "--pct", "10", "--dry-run"]];
    let nowhere = World::new().set("MLROLL_CLOCK", &clock.url).unset("AWS_ENDPOINT_URL_LAMBDA");
    let elsewhere = World::new().set("MLROLL_CLOCK", &clock.url).set("AWS_ENDPOINT_URL_LAMBDA", "https://192.0.2.1");
    // The environment says loopback, and the SDK is told not to listen to it.
    let ignored = World::new().set("MLROLL_CLOCK", &clock.url).set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    for (world, named) in
        [(nowhere, "AWS_ENDPOINT_URL"), (elsewhere, "AWS_ENDPOINT_URL_LAMBDA"), (ignored, "amazonaws.com")]
    {
        for verb in verbs {
            let ran = world.run(&[verb, &["--target", FRAUD]].concat()).expect(2);
            ran.says("not on loopback").says(named);
            assert!(ran.took < Duration::from_secs(60), "{ran:?}");
        }
        assert!(world.server.requests().is_empty());
    }
    let world = World::new().set("MLROLL_CLOCK", &clock.url);
    let file = config(9, "steps = [\"10%\", \"100%\"]", GATES).replace("127.0.0.1", "192.0.2.1");
    world.write("mlroll.toml", &file);
    for verb in [&ROLLOUT[..], &["gate", "check"], &["promote"]] {
        world.run(verb).expect(2).says("metrics.url").says("not on loopback");
    }
    assert!(world.server.requests().is_empty());
    // Where all is on loopback it is obeyed.
    world.run(&["canary", "--pct", "10", "--candidate", "3", "--no-gates"]).expect(0);
    assert_eq!(world.split(), "2+3:0.1");
}

#[test]
fn a_look_costs_little_besides_the_query() {
    let costs = look::costs(360);
    assert_eq!(costs.len(), 360);
    let (median, _) = look::summary(&costs);
    // Unoptimized code is about ten times as slow; `cargo bench --bench look` prints the figure of a release.
    let limit = Duration::from_millis(if cfg!(debug_assertions) { 40 } else { 1 });
    assert!(median < limit, "{median:?}");
    let (first, last) = (look::summary(&costs[..60]).0, look::summary(&costs[300..]).0);
    assert!(last < first * 6, "looks become dearer: {first:?}, then {last:?}");
}
