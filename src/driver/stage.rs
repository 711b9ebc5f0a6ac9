//! What a model registry is told of whom was promoted.

use mlroll_backend::{Backend, ModelStage};

use super::{Driver, Report, job};

impl Driver<'_> {
    /// Tells the registry of the revision that was promoted, where the report knows that it has everything. It stays promoted when
    /// that fails: it is noted.
    pub(crate) async fn tell_stage(&self, backend: &dyn Backend, stage: &ModelStage, report: &mut Report) {
        let is_there = report.settled || self.wire.is_rehearsal();
        let promoted = report.after.as_ref().and_then(|after| after.sole()).cloned();
        let Some(revision) = promoted else { return };
        if !is_there {
            let ModelStage { stage, .. } = stage;
            return report.note(format!(
                "the model registry is not told of {stage}: {revision} is not live yet; once it is, `aws sagemaker \
                 update-model-package --model-life-cycle` tells it"
            ));
        }
        let deadline = self.clock.deadline(self.limits.accept);
        let told = self.clock.by(deadline, backend.tell_stage(&report.target, &revision, stage)).await;
        let ModelStage { stage, status } = stage;
        report.note(match told.unwrap_or_else(|_| Err(job::time_is_up())) {
            Ok(Some(package)) => format!("the model registry says that {package} is at {stage} ({status})"),
            Ok(None) => format!("{revision} has no model of a registry that could be told of {stage}"),
            Err(e) => format!("the model registry is not told of {stage}: {e}"),
        });
        report.calls = self.wire.count(&report.target);
    }
}
