//! What all APIs of a sandbox share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mlroll_backend::Timestamp;

use crate::Clock;
use crate::azure_ml::AzureMl;
use crate::cloud_run::CloudRun;
use crate::lambda::Lambda;
use crate::sagemaker::SageMaker;
use crate::scenario::Scenario;
use crate::traffic::Traffic;

/// The clock, the simulated users, and the state of each control plane.
#[derive(Debug)]
pub struct World {
    /// The sandbox's time.
    pub clock: Clock,
    /// The requests of simulated users.
    pub traffic: Traffic,
    /// What the world was made of.
    pub scenario: Scenario,
    /// The functions of AWS Lambda.
    pub lambda: Lambda,
    /// The online endpoints of Azure Machine Learning.
    pub azure_ml: AzureMl,
    /// The services of Google Cloud Run.
    pub cloud_run: CloudRun,
    /// The endpoints of Amazon SageMaker.
    pub sagemaker: SageMaker,
}

impl World {
    /// The world of a scenario.
    #[must_use]
    pub fn new(scenario: Scenario, clock: Clock) -> Self {
        let traffic = Traffic::new(&scenario, clock.now());
        let lambda = Lambda::of(&scenario, clock.now());
        let azure_ml = AzureMl::of(&scenario, clock.now());
        let cloud_run = CloudRun::of(&scenario, clock.now());
        let sagemaker = SageMaker::of(&scenario, clock.now());
        Self { clock, traffic, scenario, lambda, azure_ml, cloud_run, sagemaker }
    }

    /// The moment it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Carries out what became due since it was last asked, each at its own moment: what was accepted becomes live.
    pub fn settle(&mut self) {
        let now = self.clock.now();
        let (azure, mirrored): (Vec<_>, Vec<_>) = self.azure_ml.settle(now).into_iter().unzip();
        for (route, mirror) in azure.iter().zip(mirrored) {
            self.traffic.mirror(&route.target, mirror, route.at);
        }
        let routed = self.lambda.settle(now).into_iter().chain(self.cloud_run.settle(now)).chain(azure);
        for route in routed {
            self.traffic.route(&route.target, &route.split, route.at);
        }
        for (target, split, at, mirror) in self.sagemaker.settle(now) {
            self.traffic.mirror(&target, mirror, at);
            self.traffic.route(&target, &split, at);
        }
    }
}

/// The world as a server and its process share it.
#[derive(Clone, Debug)]
pub struct SharedWorld(Arc<Mutex<World>>);

impl SharedWorld {
    /// Shares a world.
    #[must_use]
    pub fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    /// The world as it is now, with all that is due carried out. Requests wait meanwhile: hold it over no `await`.
    ///
    /// A panic of another holder does not keep it from anybody: an answer that failed halfway is a bug of one API.
    pub fn lock(&self) -> MutexGuard<'_, World> {
        let mut world = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        world.settle();
        world
    }
}
