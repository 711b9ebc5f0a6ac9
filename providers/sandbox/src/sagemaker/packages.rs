//! The model registry: versions of models, and what people said of them.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::error::Refusal;
use super::input::Input;
use super::render::moment;
use super::state::Package;

/// Stages and their statuses are people's own words, of at most so many characters (SageMaker API model).
const LONGEST: usize = 63;

impl Call<'_> {
    /// The package that `member` names by its ARN.
    fn package(&mut self, member: &str) -> Result<(String, &mut Package), Refusal> {
        let arn = self.input.required(member)?.to_owned();
        let front = self.arn("model-package", "");
        let missing = || Refusal::invalid(format!("ModelPackage {arn} does not exist."));
        let name = arn.strip_prefix(&front).ok_or_else(missing)?.to_owned();
        let package = self.here().packages.get_mut(&name).ok_or_else(missing)?;
        Ok((arn, package))
    }

    pub(super) fn describe_package(&mut self) -> Reply {
        let (arn, package) = self.package("ModelPackageName")?;
        let (group, version) = arn.rsplit_once('/').unwrap_or((&arn, "1"));
        let mut answer = json!({
            "ModelPackageName": arn,
            "ModelPackageGroupName": group.rsplit('/').next(),
            "ModelPackageVersion": version.parse::<i64>().unwrap_or(1),
            "ModelPackageArn": arn,
            "CreationTime": moment(package.created),
            "LastModifiedTime": moment(package.modified),
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": { "ValidationStatuses": [] },
            "ModelApprovalStatus": package.approval,
        });
        if let (Some(stage), Value::Object(answer)) = (&package.life_cycle, &mut answer) {
            answer.insert("ModelLifeCycle".to_owned(), stage.clone());
        }
        Ok(answer)
    }

    pub(super) fn update_package(&mut self) -> Reply {
        let approval = self.input.text("ModelApprovalStatus")?.map(str::to_owned);
        if let Some(approval) = &approval
            && !["Approved", "Rejected", "PendingManualApproval"].contains(&approval.as_str())
        {
            let constraint = "Member must satisfy enum value set: [Approved, Rejected, PendingManualApproval]";
            return Err(Refusal::violation(approval, "modelApprovalStatus", constraint));
        }
        let stage = match self.input.member("ModelLifeCycle") {
            None => None,
            Some(stage) => {
                let stage = Input::object(stage, "ModelLifeCycle")?;
                for (member, required) in [("Stage", true), ("StageStatus", true), ("StageDescription", false)] {
                    let text = if required { Some(stage.required(member)?) } else { stage.text(member)? };
                    if let Some(text) = text.filter(|text| required && text.len() > LONGEST) {
                        let constraint = format!("Member must have length less than or equal to {LONGEST}");
                        return Err(Refusal::violation(text, &super::input::camel(member), &constraint));
                    }
                }
                Some(Value::Object(stage.0))
            }
        };
        let now = self.now;
        let (arn, package) = self.package("ModelPackageArn")?;
        package.modified = now;
        if let Some(approval) = approval {
            package.approval = approval;
        }
        package.life_cycle = stage.or(package.life_cycle.take());
        Ok(json!({ "ModelPackageArn": arn }))
    }
}
