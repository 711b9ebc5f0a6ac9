//! The contracts of `Backend` and `MetricSource` as named behaviours, each shown by every cloud: the real adapter, over
//! real HTTP, on a sandbox of its own.
//!
//! - `cloud.rs` has what differs: names, operations, error codes; a new cloud is an entry there and a line here
//! - `backend.rs` has the behaviours of what moves traffic, `metrics.rs` of what measures it
//! - `stage.rs` starts a sandbox for each, and the test again in a process whose environment leads there

#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failed step fails the test, and modules share their parts"
)]

mod backend;
mod cloud;
mod metrics;
mod stage;

/// A test for each behaviour of a contract, on one cloud.
macro_rules! shows {
    ($module:ident on $cloud:ident: $($behaviour:ident),* $(,)?) => {
        $(
            #[test]
            fn $behaviour() {
                let name = concat!(module_path!(), "::", stringify!($behaviour));
                crate::stage::perform(&crate::cloud::$cloud, name, |case| Box::pin(crate::$module::$behaviour(case)));
            }
        )*
    };
}

/// All behaviours of a backend.
macro_rules! backend_contract {
    ($cloud:ident) => {
        shows! { backend on $cloud:
            a_shift_is_observed_as_it_was_written,
            a_shift_is_absolute_and_may_be_repeated,
            a_stale_view_is_a_conflict_and_writes_nothing,
            a_foreign_write_between_read_and_write_is_found,
            a_lost_reply_is_told_by_looking_again,
            a_request_that_never_arrived_changed_nothing_or_was_repeated,
            a_busy_target_is_a_conflict,
            throttling_is_waited_out,
            lasting_throttling_is_told,
            a_refused_permission_is_told,
            a_missing_target_is_told,
            a_missing_revision_is_an_obstacle_and_not_shifted_to,
            a_revision_that_cannot_serve_is_an_obstacle,
            shares_finer_than_the_granule_are_not_written,
            more_revisions_than_it_can_are_refused,
            the_marker_and_the_users_own_text_live_together,
            the_newest_revision_comes_first,
            an_answer_cut_short_is_no_observation,
            a_rehearsal_writes_nothing,
            a_promotion_names_its_way_back,
            a_rollback_typed_twice_is_done_once,
            a_rollback_is_one_read_and_one_write,
            a_split_that_never_settles_is_unsafe,
            mirrored_traffic_is_as_it_was_asked_for_or_unsupported,
            mirrored_traffic_ends_with_the_shift_that_it_led_to,
        }
    };
}

/// All behaviours of a source of metrics.
macro_rules! metrics_contract {
    ($cloud:ident) => {
        shows! { metrics on $cloud:
            it_counts_what_users_got,
            samples_come_by_query_then_subject_then_window,
            the_same_settled_window_is_answered_the_same,
            nobody_asked_is_no_data_and_not_zero_errors,
            a_store_that_fails_costs_samples_and_is_no_error,
            a_passing_failure_is_not_noticed,
            a_broken_query_is_found_before_traffic_moves,
        }
    };
}

/// Of a source that tells how long requests took.
macro_rules! latency_contract {
    ($cloud:ident) => {
        shows! { metrics on $cloud: latencies_are_in_seconds, one_quantile_is_told_of_all_requests, nobody_asked_is_no_latency }
    };
}

/// Of a source that knows of instances and alarms.
macro_rules! instances_contract {
    ($cloud:ident) => {
        shows! { metrics on $cloud: what_instances_lack_is_told, alarms_count_while_they_are_open }
    };
}

/// Of a source that knows how full machines are, and no more of them.
macro_rules! machines_contract {
    ($cloud:ident) => {
        shows! { metrics on $cloud: what_machines_have_left_is_told }
    };
}

/// Of a source that does not tell how long requests took.
macro_rules! no_latency_contract {
    ($cloud:ident) => {
        shows! { metrics on $cloud: latency_is_refused_before_anything_is_sent }
    };
}

mod azure_ml {
    backend_contract!(AZURE_ML);
}

mod azure_logs {
    metrics_contract!(AZURE_LOGS);
    latency_contract!(AZURE_LOGS);
    shows! { metrics on AZURE_LOGS: everything_is_counted_in_one_query }
}

mod azure_logs_workspace {
    metrics_contract!(AZURE_LOGS_WORKSPACE);
    latency_contract!(AZURE_LOGS_WORKSPACE);
    shows! { metrics on AZURE_LOGS_WORKSPACE: everything_is_counted_in_one_query }
}

mod azure_monitor {
    metrics_contract!(AZURE_MONITOR);
    no_latency_contract!(AZURE_MONITOR);
    machines_contract!(AZURE_MONITOR);
}

mod cloudwatch {
    metrics_contract!(CLOUDWATCH);
    latency_contract!(CLOUDWATCH);
}

mod lambda {
    backend_contract!(LAMBDA);
}

mod prometheus {
    metrics_contract!(PROMETHEUS);
    latency_contract!(PROMETHEUS);
}

mod cloud_run {
    backend_contract!(CLOUD_RUN);
}

mod cloud_monitoring {
    metrics_contract!(CLOUD_MONITORING);
    latency_contract!(CLOUD_MONITORING);
    instances_contract!(CLOUD_MONITORING);
}

mod sagemaker {
    backend_contract!(SAGEMAKER);
    metrics_contract!(SAGEMAKER);
    latency_contract!(SAGEMAKER);
}
