//! The built program, run as a user runs it: from an empty folder with an empty home.
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a failed step fails the test, and modules share their parts"
)]

mod action;
mod arguments;
mod aws_credentials;
mod aws_iam;
mod azure_credentials;
mod azure_deploy;
mod azure_evidence;
mod azure_faults;
mod azure_hours;
mod azure_logs;
mod azure_logs_evidence;
mod azure_ml;
mod azure_rbac;
mod azure_survival;
mod azure_throttled;
mod backtest;
mod capacity;
mod cloud_run;
mod cloud_run_faults;
mod cloud_run_watched;
mod cloudwatch;
mod cloudwatch_evidence;
mod cloudwatch_latencies;
mod cloudwatch_scenarios;
mod cloudwatch_versions;
mod completions;
mod demo;
mod deploy;
mod deploy_google;
mod disk;
mod dry_run;
mod earlier;
mod evidence;
mod experiment;
mod explain;
mod faults;
mod fleet;
mod foretold;
mod gate;
mod github;
mod google_credentials;
mod google_preflight;
mod google_roles;
mod google_smoke;
mod hours;
mod kayenta;
mod killed;
mod lambda_deploy;
mod look;
mod monitoring;
mod moto;
mod no_gates;
mod outgrown;
mod plan;
mod power;
mod provided;
mod proxy;
mod rollback;
mod sagemaker;
mod sagemaker_by_hand;
mod sagemaker_capacity;
mod sagemaker_case;
mod sagemaker_copies;
mod sagemaker_deploy;
mod sagemaker_experiment;
mod sagemaker_killed;
mod sagemaker_killed_back;
mod sagemaker_kinds;
mod sagemaker_prune;
mod sagemaker_replaced;
mod sagemaker_shadow;
mod sagemaker_taken_back;
mod same_calls;
mod sandbox;
mod scaled;
mod schema;
mod scores;
mod several_services;
mod shadow;
mod shadow_difference;
mod shape;
mod short_looks;
mod side_by_side;
mod status;
mod stopped;
mod watched;
mod world;
