//! How endpoints are spelled in dimensions, where their targets do not say it: an ARN may have the name in lower case.

use std::borrow::Cow;
use std::sync::PoisonError;

use mlroll_backend::{Subject, Target};

use super::source::CloudWatch;

impl CloudWatch {
    /// Asks once for each endpoint that is named by its ARN. Where that cannot be told, it is asked for again the next time.
    pub(super) async fn learn_spelling(&self, subjects: &[Subject]) {
        #[cfg(feature = "sagemaker")]
        for target in subjects.iter().map(|subject| &subject.target) {
            let known = self.spelled.lock().unwrap_or_else(PoisonError::into_inner).contains_key(target);
            if let Target::SageMaker(endpoint) = target
                && endpoint.owner.is_some()
                && !known
                && let Ok(name) = crate::sagemaker::spelling(&self.session, target, endpoint).await
            {
                self.spelled.lock().unwrap_or_else(PoisonError::into_inner).insert(target.clone(), name);
            }
        }
        #[cfg(not(feature = "sagemaker"))]
        let _ = subjects;
    }

    /// The subject as dimensions have it.
    pub(super) fn spelled<'s>(&self, subject: &'s Subject) -> Cow<'s, Subject> {
        let known = self.spelled.lock().unwrap_or_else(PoisonError::into_inner).get(&subject.target).cloned();
        match (&subject.target, known) {
            (Target::SageMaker(endpoint), Some(name)) => {
                let target =
                    Target::SageMaker(mlroll_backend::SageMakerEndpoint { endpoint: name, ..endpoint.clone() });
                Cow::Owned(Subject { target, ..subject.clone() })
            }
            (Target::AzureMl(_) | Target::CloudRun(_) | Target::Lambda(_) | Target::SageMaker(_), _) => {
                Cow::Borrowed(subject)
            }
        }
    }
}
