//! Kayenta's settings of one metric as `mlroll.toml` writes them, in Kayenta's own words (docs/judge.md section 2).

use serde::{Deserialize, Serialize};

use super::file::is_false;
use super::rule::Better;
use crate::judge::kayenta::{Concern, Effect, Nan, Outliers, Settings};
use crate::judge::kayenta_score::Stake;

/// The table `kayenta` of a gate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct KayentaFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<Concern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nan_strategy: Option<Nan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outliers: Option<Outliers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect_size: Option<EffectFile>,
    #[serde(skip_serializing_if = "is_false")]
    critical: bool,
    #[serde(skip_serializing_if = "is_false")]
    must_have_data: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct EffectFile {
    measure: Measure,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_increase: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_decrease: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    critical_increase: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    critical_decrease: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Measure {
    Cles,
    #[default]
    MeanRatio,
}

/// What the gate says besides its table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beside {
    /// As it was given, and with its default.
    pub(super) better: (Option<Better>, Better),
    /// Likewise.
    pub(super) tolerance: (bool, f64),
}

impl KayentaFile {
    /// The group of the score that it belongs to.
    pub(super) fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// Whether it says anything about a score.
    pub(super) fn is_about_score(&self) -> bool {
        let critical = |effect: &EffectFile| effect.critical_increase.or(effect.critical_decrease).is_some();
        self.critical || self.group.is_some() || self.effect_size.as_ref().is_some_and(critical)
    }

    /// Kayenta's settings; those of a gate without a table are its margins'.
    pub(super) fn checked(table: Option<&Self>, beside: Beside) -> Result<(Settings, Stake), String> {
        let Beside { better, tolerance } = beside;
        let mut settings = Settings {
            concern: match better.1 {
                Better::Higher => Concern::Decrease,
                Better::Lower => Concern::Increase,
            },
            effect: Effect::MeanRatio {
                allowed_increase: 1.0 + tolerance.1,
                allowed_decrease: 1.0 / (1.0 + tolerance.1),
            },
            ..Settings::default()
        };
        let Some(table) = table else { return Ok((settings, Stake::default())) };
        if let Some(direction) = table.direction {
            if better.0.is_some() {
                return Err("kayenta: `direction` and `better` say the same: give one of them".to_owned());
            }
            settings.concern = direction;
        }
        settings.nan = table.nan_strategy.unwrap_or_default();
        settings.outliers = table.outliers.unwrap_or_default();
        if table.group.as_ref().is_some_and(|group| group.trim().is_empty()) {
            return Err("kayenta: `group` is empty; leave it out, or name one".to_owned());
        }
        let mut stake = Stake { critical: table.critical, must_have_data: table.must_have_data, ..Stake::default() };
        if let Some(size) = &table.effect_size {
            if tolerance.0 {
                return Err("kayenta: `effect_size` and `tolerance` say the same: give one of them".to_owned());
            }
            size.check(table.critical)?;
            settings.effect = size.effect();
            (stake.critical_increase, stake.critical_decrease) = (size.critical_increase, size.critical_decrease);
        }
        Ok((settings, stake))
    }
}

impl EffectFile {
    fn check(&self, is_critical: bool) -> Result<(), String> {
        let most = match self.measure {
            Measure::Cles => 1.0,
            Measure::MeanRatio => 1e6,
        };
        for (key, value) in [
            ("allowed_increase", self.allowed_increase),
            ("allowed_decrease", self.allowed_decrease),
            ("critical_increase", self.critical_increase),
            ("critical_decrease", self.critical_decrease),
        ] {
            if value.is_some_and(|value| !(0.0..=most).contains(&value)) {
                return Err(format!("kayenta: `{key}` is a number from 0 to {most}, in the measure of `effect_size`"));
            }
            if value.is_some() && key.starts_with("critical") && !is_critical {
                return Err(format!("kayenta: `{key}` is for what is `critical = true`"));
            }
        }
        Ok(())
    }

    fn effect(&self) -> Effect {
        let allowed = |usual| (self.allowed_increase.unwrap_or(usual), self.allowed_decrease.unwrap_or(usual));
        match self.measure {
            Measure::Cles => {
                let (allowed_increase, allowed_decrease) = allowed(0.5);
                Effect::Cles { allowed_increase, allowed_decrease }
            }
            Measure::MeanRatio => {
                let (allowed_increase, allowed_decrease) = allowed(1.0);
                Effect::MeanRatio { allowed_increase, allowed_decrease }
            }
        }
    }
}
