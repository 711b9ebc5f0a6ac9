//! What values a scenario may have.

use std::ops::RangeInclusive;
use std::time::Duration;

use mlroll_backend::{RevisionId, Target};

use super::{Behaviour, InvalidScenario, Scenario, Service};

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);

/// A table of the file, for messages.
struct Place<'a>(&'a str);

impl Place<'_> {
    fn wrong(&self, key: &str, found: impl std::fmt::Display, allowed: &str) -> InvalidScenario {
        let dot = if self.0.is_empty() { "" } else { "." };
        InvalidScenario(format!("{}{dot}{key} is {found}; allowed is {allowed}", self.0))
    }

    fn number(&self, key: &str, found: f64, allowed: RangeInclusive<f64>) -> Result<(), InvalidScenario> {
        // What is not a number is in no range.
        if allowed.contains(&found) {
            Ok(())
        } else {
            Err(self.wrong(key, found, &format!("{} to {}", allowed.start(), allowed.end())))
        }
    }

    fn span(&self, key: &str, found: Duration, allowed: RangeInclusive<Duration>) -> Result<(), InvalidScenario> {
        if allowed.contains(&found) {
            return Ok(());
        }
        let shown = humantime::format_duration;
        Err(self.wrong(key, shown(found), &format!("{} to {}", shown(*allowed.start()), shown(*allowed.end()))))
    }
}

impl Scenario {
    /// Whether all values make sense; a scenario from [`Scenario::from_toml`] does.
    ///
    /// # Errors
    /// One does not: the key, what was found and what is allowed.
    pub fn check(&self) -> Result<(), InvalidScenario> {
        let place = Place("prometheus");
        place.span("scrape", self.prometheus.scrape, Duration::from_secs(1)..=HOUR)?;
        if self.prometheus.scrape.subsec_nanos() != 0 {
            return Err(place.wrong("scrape", humantime::format_duration(self.prometheus.scrape), "whole seconds"));
        }
        place.span("delay", self.prometheus.delay, Duration::ZERO..=DAY)?;
        let place = Place("cloudwatch");
        place.span("delay", self.cloudwatch.delay, Duration::ZERO..=DAY)?;
        place.number("late", self.cloudwatch.late, 0.0..=1.0)?;
        place.number("internal_error", self.cloudwatch.internal_error, 0.0..=1.0)?;
        if let Some(page) = self.cloudwatch.page
            && !(1..=100_800).contains(&page)
        {
            return Err(place.wrong("page", page, "1 to 100800"));
        }
        Place("azure_ml").span("update", self.azure_ml.update, Duration::ZERO..=DAY)?;
        Place("azure_logs").span("delay", self.azure_logs.delay, Duration::ZERO..=DAY)?;
        let place = Place("azure_monitor");
        place.span("delay", self.azure_monitor.delay, Duration::ZERO..=DAY)?;
        let place = Place("cloud_monitoring");
        place.span("delay", self.cloud_monitoring.delay, Duration::ZERO..=DAY)?;
        place.number("execution_errors", self.cloud_monitoring.execution_errors, 0.0..=1.0)?;
        if let Some(page) = self.cloud_monitoring.page
            && !(1..=100_000).contains(&page)
        {
            return Err(place.wrong("page", page, "1 to 100000"));
        }
        Place("cloud_run").span("start", self.cloud_run.start, Duration::ZERO..=DAY)?;
        for (image, behaviour) in &self.cloud_run.images {
            behaviour.check(&format!("cloud_run.images.{image:?}"))?;
        }
        let place = Place("sagemaker");
        place.span("update", self.sagemaker.update, Duration::ZERO..=DAY)?;
        place.span("deploy", self.sagemaker.deploy, Duration::ZERO..=DAY)?;
        for (n, incident) in self.sagemaker.incidents.iter().enumerate() {
            let table = format!("sagemaker.incidents.{n}");
            Place(&table).span("after", incident.after, Duration::ZERO..=DAY)?;
            Place(&table).span("last", incident.last, Duration::ZERO..=DAY)?;
        }
        for (uri, service) in &self.targets {
            let place = format!("targets.{uri:?}");
            uri.parse::<Target>().map_err(|why| InvalidScenario(format!("{place}: {why}")))?;
            service.check(&place)?;
        }
        Ok(())
    }
}

impl Service {
    fn check(&self, table: &str) -> Result<(), InvalidScenario> {
        let place = Place(table);
        place.number("requests_per_second", self.requests_per_second, 0.0..=100_000.0)?;
        place.number("daily", self.daily, 0.0..=1.0)?;
        if let Some(bursts) = self.bursts {
            place.span("bursts.every", bursts.every, Duration::from_secs(1)..=DAY)?;
            place.span("bursts.last", bursts.last, Duration::ZERO..=bursts.every)?;
            place.number("bursts.times", bursts.times, 0.0..=1000.0)?;
        }
        if !self.revisions.contains_key(&self.stable) {
            let known: Vec<&str> = self.revisions.keys().map(String::as_str).collect();
            return Err(place.wrong(
                "stable",
                format!("{:?}", self.stable),
                &format!("a revision: {}", known.join(", ")),
            ));
        }
        for (name, behaviour) in &self.revisions {
            let table = format!("{table}.revisions.{name:?}");
            name.parse::<RevisionId>().map_err(|why| InvalidScenario(format!("{table}: {why}")))?;
            behaviour.check(&table)?;
        }
        Ok(())
    }
}

impl Behaviour {
    fn check(&self, table: &str) -> Result<(), InvalidScenario> {
        let place = Place(table);
        place.number("error_rate", self.error_rate, 0.0..=1.0)?;
        place.number("error_cluster", self.error_cluster, 1.0..=10_000.0)?;
        place.span("latency.median", self.latency.median, Duration::from_micros(10)..=HOUR)?;
        place.span("latency.p95", self.latency.p95, self.latency.median..=HOUR)?;
        if let Some(cold) = self.cold_start {
            place.span("cold_start.extra", cold.extra, Duration::ZERO..=HOUR)?;
            place.span("cold_start.first", cold.first, Duration::ZERO..=DAY)?;
            place.number("cold_start.share", cold.share, 0.0..=1.0)?;
        }
        if let Some(leak) = self.leak {
            place.span("leak.after", leak.after, Duration::ZERO..=DAY)?;
            place.number("leak.error_rate_per_hour", leak.error_rate_per_hour, 0.0..=1000.0)?;
            place.number("leak.latency_per_hour", leak.latency_per_hour, 0.0..=1000.0)?;
        }
        if let Some(score) = self.score {
            place.number("score.mean", score.mean, 0.01..=0.99)?;
            let widest = (score.mean * (1.0 - score.mean)).sqrt() * 0.9;
            place.number("score.sd", score.sd, 0.001..=widest)?;
            place.number("score.drift_per_hour", score.drift_per_hour, -1000.0..=1000.0)?;
        }
        if let Some(instances) = self.instances {
            place.span("instances.startup", instances.startup, Duration::ZERO..=HOUR)?;
            place.number("instances.cpu", instances.cpu, 0.0..=1.0)?;
            place.number("instances.memory", instances.memory, 0.0..=1.0)?;
            place.number("instances.gpu", instances.gpu, 0.0..=1.0)?;
            place.number("instances.gpu_memory", instances.gpu_memory, 0.0..=1.0)?;
        }
        if let Some(differs) = self.differs {
            place.number("differs", differs, 0.0..=1.0)?;
        }
        place.number("gco2e", self.gco2e, 0.0..=1e9)?;
        place.number("conversion_rate", self.conversion_rate, 0.0..=1.0)?;
        place.number("lost", self.lost, 0.0..=1.0)?;
        place.number("throttled", self.throttled, 0.0..=1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
        seed = 7
        start = "2026-11-21T03:00:00Z"
        [prometheus]
        scrape = "15s"
        delay = "30s"
        [cloudwatch]
        delay = "60s"
        late = "5%"
        alarms.slow = { state = "OK", then = { after = "10m", state = "ALARM" } }
        [azure_ml]
        update = "5s"
        [cloud_monitoring]
        delay = "2m"
        execution_errors = "1%"
        page = 10
        alerts.slow = { opens = "10m", closes = "20m" }
        [cloud_run]
        start = "90s"
        images."fraud:bad" = { state = "Failed", gco2e = 0.5 }
        [targets."cloud-run:acme/europe-west3/fraud"]
        requests_per_second = 20
        daily = "30%"
        bursts = { every = "10m", last = "20s", times = 3 }
        stable = "fraud-1"
        [targets."cloud-run:acme/europe-west3/fraud".revisions.fraud-1]
        [targets."cloud-run:acme/europe-west3/fraud".revisions.fraud-2]
        error_rate = 0.01
        error_cluster = 5
        latency = { median = "80ms", p95 = "200ms" }
        cold_start = { extra = "800ms", first = "30s", share = "1%" }
        leak = { after = "10m", error_rate_per_hour = "5%", latency_per_hour = 0.5 }
        score = { mean = 0.4, sd = 0.1, drift_per_hour = 0.05 }
        gco2e = 0.004
        conversion_rate = "2%"
        lost = "1%"
        throttled = "2%"
        differs = "3%"
        instances = { startup = "40s", cpu = "90%", gpu = 0.5, pending = 3 }
    "#;

    #[test]
    fn reads_all_there_is() {
        let scenario = Scenario::from_toml(WHOLE).unwrap();
        let (target, service) = scenario.parsed_targets().next().unwrap();
        assert_eq!(target.to_string(), "cloud-run:acme/europe-west3/fraud");
        assert_eq!(service.revisions["fraud-2"].latency.p95, Duration::from_millis(200));
        assert!((scenario.cloudwatch.late - 0.05).abs() < 1e-12);
        assert!(Scenario::default_world().check().is_ok());
    }

    #[test]
    fn the_documented_scenario_is_one() {
        let page = include_str!("../../../../docs/sandbox.md");
        let (_, example) = page.split_once("```toml\n").unwrap();
        let scenario = Scenario::from_toml(example.split_once("```").unwrap().0).unwrap();
        let world = Scenario::default_world();
        let documented = |name: &str| format!("{:?}", scenario.targets["lambda:us-east-1/fraud@prod"].revisions[name]);
        let defaults = Behaviour::default();
        assert_eq!(documented("1"), format!("{defaults:?}"));
        // What the page calls defaults are those.
        let third = &scenario.targets["lambda:us-east-1/fraud@prod"].revisions["3"];
        assert_eq!(format!("{:?}", third.latency), format!("{:?}", defaults.latency));
        assert_eq!(
            (third.gco2e, third.conversion_rate, third.lost, third.throttled),
            (defaults.gco2e, defaults.conversion_rate, defaults.lost, defaults.throttled)
        );
        assert_eq!(scenario.prometheus.scrape, world.prometheus.scrape);
        assert_eq!(scenario.cloudwatch.delay, world.cloudwatch.delay);
        assert_eq!(scenario.azure_ml.update, world.azure_ml.update);
        assert_eq!(scenario.azure_monitor.delay, world.azure_monitor.delay);
        assert_eq!(scenario.azure_logs.delay, world.azure_logs.delay);
        assert_eq!(scenario.cloud_monitoring.delay, world.cloud_monitoring.delay);
    }

    #[test]
    fn names_the_key_that_is_wrong() {
        for (from, to, said) in [
            ("seed = 7", "sead = 7", "sead"),
            ("error_rate = 0.01", "error_rate = 1.5", "revisions.\"fraud-2\".error_rate is 1.5; allowed is 0 to 1"),
            ("error_rate = 0.01", "error_rate = nan", "error_rate is NaN; allowed is 0 to 1"),
            ("error_rate = 0.01", "error_rate = \"much\"", "`much` is not a share"),
            ("p95 = \"200ms\"", "p95 = \"20ms\"", "latency.p95 is 20ms; allowed is 80ms to 1h"),
            ("p95 = \"200ms\"", "p95 = 200", "p95"),
            ("p95 = \"200ms\"", "p95 = \"200\"", "not a duration"),
            ("scrape = \"15s\"", "scrape = \"0s\"", "prometheus.scrape is 0s; allowed is 1s to 1h"),
            ("scrape = \"15s\"", "scrape = \"1500ms\"", "whole seconds"),
            (
                "stable = \"fraud-1\"",
                "stable = \"fraud-3\"",
                "stable is \"fraud-3\"; allowed is a revision: fraud-1, fraud-2",
            ),
            ("cpu = \"90%\"", "cpu = 1.1", "instances.cpu is 1.1"),
            ("sd = 0.1", "sd = 0.6", "score.sd is 0.6"),
            ("page = 10", "page = 0", "cloud_monitoring.page is 0; allowed is 1 to 100000"),
            ("delay = \"2m\"", "delay = \"2d\"", "cloud_monitoring.delay is 2days"),
            ("start = \"90s\"", "start = \"2d\"", "cloud_run.start is 2days"),
            ("update = \"5s\"", "update = \"2d\"", "azure_ml.update is 2days"),
            ("gco2e = 0.5", "gco2e = -1", "cloud_run.images.\"fraud:bad\".gco2e is -1"),
            ("state = \"OK\"", "state = \"FINE\"", "FINE"),
            (
                "cloud-run:acme/europe-west3/fraud\".revisions.fraud-1",
                "cloud-run:acme/fraud\".revisions.fraud-1",
                "cloud-run",
            ),
        ] {
            let text = WHOLE.replacen(from, to, 1);
            let why = Scenario::from_toml(&text).unwrap_err().to_string();
            assert!(why.contains(said), "{to}: {why}");
        }
    }
}
