//! `mlroll deploy`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use mlroll_backend::{Artifact, Question, Release, RevisionId, Settings, Target};

use super::earlier::{refuse_beside_capacity, unfinished};
use super::watched::state_of;
use super::{Context, Ended, block_on, print_failure};
use crate::cli::revision;
use crate::config::{Config, Selected, select};
use crate::driver::{Delivery, Driver, Limits};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::output::deployed::{self, Said};
use crate::output::{Format, Progress};
use crate::wire::Wire;

/// How long a new revision may take until it could serve, unless `--timeout` says: large models load for long.
const READY: Duration = Duration::from_secs(60 * 60);

/// For how long the way back of a promote is not overwritten, unless the file says.
const KEEP_PREVIOUS: Duration = Duration::from_secs(60 * 60);

/// Make a new revision at zero traffic
///
/// Everything that is not named stays as the stable revision has it. Prints the new revision's name, when it could serve; then
/// `mlroll canary` gives it a share. Typed twice it makes one revision: without `--name` the name follows from what is in it.
/// Refused while a canary is under way.
#[derive(Args, Debug)]
pub struct DeployArgs {
    /// Services of mlroll.toml; may be left out when there is only one
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// From this container image, best with its digest (Cloud Run, Lambda; with --model-data also SageMaker)
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["zip", "s3", "model", "model_package", "from_stable"])]
    pub image: Option<String>,
    /// From this archive on this machine (Lambda)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["s3", "model", "model_package", "model_data", "from_stable"])]
    pub zip: Option<PathBuf>,
    /// From this archive in S3, as s3://BUCKET/KEY or s3://BUCKET/KEY?versionId=ID (Lambda)
    #[arg(long, value_name = "URL", conflicts_with_all = ["model", "model_package", "model_data", "from_stable"])]
    pub s3: Option<String>,
    /// From this model, by the name the provider knows it by (SageMaker, Azure ML)
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["model_package", "model_data"])]
    pub model: Option<String>,
    /// From this approved version in the model registry (SageMaker)
    #[arg(long, value_name = "ARN", conflicts_with_all = ["model_data", "from_stable"])]
    pub model_package: Option<String>,
    /// From this model data in S3, served by --image (SageMaker)
    #[arg(long, value_name = "URL", requires = "image", conflicts_with = "from_stable")]
    pub model_data: Option<String>,
    /// A copy of the stable revision, with what is named replaced
    #[arg(long)]
    pub from_stable: bool,
    /// What the new revision is called, where the provider lets that be chosen
    #[arg(long, value_name = "REV", value_parser = revision)]
    pub name: Option<RevisionId>,
    /// The environment that the model runs in (Azure ML)
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// The kind of machine (SageMaker, Azure ML)
    #[arg(long, value_name = "TYPE")]
    pub instance_type: Option<String>,
    /// How many machines (SageMaker, Azure ML)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub instances: Option<u32>,
    /// How many instances are kept ready even without traffic (Cloud Run, Lambda)
    #[arg(long, value_name = "N")]
    pub min_instances: Option<u32>,
    /// Send this file's content to the new revision as one request; unless it answers well, exit with 1
    #[arg(long, value_name = "FILE")]
    pub smoke: Option<PathBuf>,
    /// Where that request is sent to, such as /v1/models/fraud:predict [default: /] (Cloud Run)
    #[arg(long, value_name = "PATH", requires = "smoke", value_parser = path)]
    pub smoke_path: Option<String>,
    /// Make it although the same location was deployed before: what is behind it has been overwritten (SageMaker)
    #[arg(long, requires = "model_data", conflicts_with_all = ["zip", "s3", "model", "model_package", "from_stable"])]
    pub again: bool,
    /// Overwrite the `previous` revision, the way back of the last promote, where there is no room for a third
    #[arg(long)]
    pub discard_previous: bool,
    /// When the new revision is live, delete what earlier deployments made and nothing refers to: endpoint configs and models
    /// that mlroll made for this endpoint; never the one in use nor the one before it (SageMaker)
    #[arg(long)]
    pub prune: bool,
}

/// Runs the verb.
///
/// # Errors
/// The arguments or the file are wrong, a file cannot be read, the only target failed, or output cannot be written.
pub fn run(args: &DeployArgs, context: &Context) -> Result<ExitStatus, Ended> {
    let Context { global, printer, clock, .. } = context;
    let release = args.release()?;
    let smoke = args.smoke.as_deref().map(|path| read("--smoke", path)).transpose()?;
    let (selected, config) = select(global.config.as_deref(), &global.target, &args.services, false)?;
    let progress = Progress::new(*printer, selected.len(), global.dry_run);
    let limits = Limits { accept: global.timeout.unwrap_or(READY), settle: None, no_wait: false };
    let wire = Arc::new(Wire::new(global.dry_run, *printer).within(clock.reach()));
    let driver =
        Driver { clock: clock.clone(), wire: Arc::clone(&wire), limits, progress: &progress, id: super::new_id(clock) };
    let keep_previous = keep_previous(config.as_ref(), &selected);
    let question = |payload| Question { payload, path: args.smoke_path.as_deref() };
    let barred = args.prune.then(|| barred(context, config.as_ref(), &selected));
    let smoke = smoke.as_deref().map(question);
    let delivery = Delivery { release: &release, keep_previous, smoke, prune: barred.as_ref() };
    let state = state_of(config.as_ref(), global.config.as_deref()).ok().map(|(state, _)| state);
    let allowed =
        |one: &Selected| state.as_ref().map_or(Ok(()), |state| refuse_beside_capacity(context, state, one, false));
    let allowed: Vec<Result<(), Failure>> = selected.iter().map(allowed).collect();
    let meant = selected.iter().zip(allowed).map(|(selected, allowed)| (selected.clone(), allowed)).collect::<Vec<_>>();
    let delivered = block_on(driver.deploy(&delivery, &meant))?;
    progress.clear();
    wire.breach()?;
    let failures = || delivered.iter().filter_map(|one| one.result.as_ref().err());
    for failure in failures() {
        print_failure(*printer, failure, Some("untouched: a new revision gets none".to_owned()));
    }
    for warning in deployed::unpruned(&delivered) {
        printer.warn(&warning);
    }
    let exit = ExitStatus::worst(failures().map(|failure| failure.exit));
    let said = Said { reason: global.reason.as_deref(), exit };
    let text = match (global.dry_run, global.output) {
        (true, Format::Json) => deployed::rehearsed(&said, &delivered, &wire.calls()).to_string(),
        (true, Format::Text) => deployed::rehearsal(&delivered, &wire.calls()),
        (false, output) => {
            let document = deployed::json(&said, &delivered);
            deployed::announce(&context.env, *printer, &said, &delivered, &document);
            if output == Format::Json { document.to_string() } else { deployed::text(&delivered) }
        }
    };
    printer.data(&text).map_err(|e| Ended::Unsaid(exit, e))?;
    Ok(exit)
}

impl DeployArgs {
    fn release(&self) -> Result<Release, Failure> {
        let settings = Settings {
            environment: self.environment.clone(),
            instance_type: self.instance_type.clone(),
            instances: self.instances,
            min_instances: self.min_instances,
        };
        let given = [
            &self.image,
            &self.s3,
            &self.model,
            &self.model_package,
            &self.model_data,
            &self.environment,
            &self.instance_type,
        ];
        if given.into_iter().flatten().any(|text| text.trim().is_empty()) {
            return Err(Failure::usage("an empty text names nothing to deploy"));
        }
        let artifact = if let Some(data) = &self.model_data {
            let image = self.image.clone().unwrap_or_default();
            Artifact::ModelData { data: data.clone(), image }
        } else if let Some(image) = &self.image {
            Artifact::Image(image.clone())
        } else if let Some(path) = &self.zip {
            Artifact::Zip(read("--zip", path)?)
        } else if let Some(url) = &self.s3 {
            s3(url)?
        } else if let Some(model) = &self.model {
            Artifact::Model(model.clone())
        } else if let Some(package) = &self.model_package {
            Artifact::ModelPackage(package.clone())
        } else if self.from_stable {
            if settings == Settings::default() && self.name.is_none() {
                return Err(Failure::usage("a copy of stable that differs in nothing is stable").hint(
                    "name what is to be replaced: --model, --environment, --instance-type, --instances, --min-instances, or a --name",
                ));
            }
            Artifact::Stable
        } else {
            return Err(Failure::usage("nothing is named to deploy")
                .hint("give one of --image, --zip, --s3, --model, --model-package, --model-data, --from-stable"));
        };
        let (name, may_discard_previous) = (self.name.clone(), self.discard_previous);
        Ok(Release { artifact, settings, name, may_discard_previous, anew: self.again })
    }
}

/// Targets of which nothing is deleted: a run of them is not over, or nobody can tell.
fn barred(context: &Context, config: Option<&Config>, selected: &[Selected]) -> BTreeMap<Target, Failure> {
    let mut barred = BTreeMap::new();
    let state = state_of(config, context.global.config.as_deref());
    for one in selected {
        let open = state.as_ref().map_err(Clone::clone).and_then(|(state, _)| unfinished(context, state, one));
        let failure = match open.as_deref() {
            Ok([]) => continue,
            Ok([run, ..]) => Failure::conflict(format!("nothing was deleted: run {} is unfinished", run.header.plan.terms().id))
                .hint("end it first: `mlroll resume` or `mlroll rollback`; then the same command, typed again, tries it again"),
            Err(failure) => Failure { message: format!("nothing was deleted: {}", failure.message), ..failure.clone() },
        };
        barred.insert(one.target.clone(), failure.about(&one.target));
    }
    barred
}

/// The path of a request.
fn path(text: &str) -> Result<String, String> {
    let is_path = text.starts_with('/') && !text.starts_with("//") && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_path { Ok(text.to_owned()) } else { Err(format!("`{text}` is no path, such as /v1/models/fraud:predict")) }
}

fn read(flag: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|e| Failure::usage(format!("{flag}: {} cannot be read: {e}", path.display())))
}

fn s3(url: &str) -> Result<Artifact, Failure> {
    let wrong = || Failure::usage(format!("--s3: `{url}` is not s3://BUCKET/KEY or s3://BUCKET/KEY?versionId=ID"));
    let rest = url.strip_prefix("s3://").ok_or_else(wrong)?;
    let (rest, version) = match rest.split_once("?versionId=") {
        Some((rest, version)) if !version.is_empty() => (rest, Some(version.to_owned())),
        Some(_) => return Err(wrong()),
        None => (rest, None),
    };
    match rest.split_once('/') {
        Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
            Ok(Artifact::S3 { bucket: bucket.to_owned(), key: key.to_owned(), version })
        }
        _ => Err(wrong()),
    }
}

/// The longest that the file grants to any of the services.
fn keep_previous(config: Option<&Config>, selected: &[Selected]) -> Duration {
    let service = |selected: &Selected| config?.services.get(selected.service.as_deref()?)?.get_ref().keep_previous;
    selected.iter().filter_map(service).map(|span| span.0).max().unwrap_or(KEEP_PREVIOUS)
}
