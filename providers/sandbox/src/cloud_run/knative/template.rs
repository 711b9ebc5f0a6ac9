//! Templates of revisions in the words of v1, and back. What v1 does not show of one stays as it is.

use serde_json::{Map, Value, json};

use super::show::object;
use crate::google::{self, Refusal, sparse};

/// Annotations of a template that are fields in v2.
const MIN: &str = "autoscaling.knative.dev/minScale";
const MAX: &str = "autoscaling.knative.dev/maxScale";
const CLIENT: &str = "run.googleapis.com/client-name";
const CLIENT_VERSION: &str = "run.googleapis.com/client-version";
const BOOST: &str = "run.googleapis.com/startup-cpu-boost";

/// Namespaces in which every other key would be one of Google's that nothing here knows.
const GOOGLES: [&str; 4] =
    ["autoscaling.knative.dev/", "cloud.googleapis.com/", "run.googleapis.com/", "serving.knative.dev/"];

/// Fields of a container that are the same in both.
const SAME: [&str; 10] =
    ["args", "command", "env", "image", "livenessProbe", "name", "ports", "startupProbe", "volumeMounts", "workingDir"];

/// `spec.template`
pub(super) fn show(template: &Map<String, Value>) -> Value {
    let mut annotations = object(template.get("annotations"));
    let scaling = |field: &str| Some(json!(template.get("scaling")?.get(field)?.as_u64()?.to_string()));
    let boosted = containers(template).first().is_some_and(|first| {
        first.get("resources").is_some_and(|resources| resources.get("startupCpuBoost") == Some(&Value::Bool(true)))
    });
    let fields = [
        (MIN, scaling("minInstanceCount")),
        (MAX, scaling("maxInstanceCount")),
        (CLIENT, template.get("client").cloned()),
        (CLIENT_VERSION, template.get("clientVersion").cloned()),
        (BOOST, boosted.then(|| json!("true"))),
    ];
    annotations.extend(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    let timeout = template.get("timeout").and_then(|timeout| timeout.as_str()?.strip_suffix('s')?.parse::<u64>().ok());
    let mut metadata = object(Some(&json!({
        "name": template.get("revision"), "annotations": annotations, "labels": template.get("labels"),
    })));
    sparse(&mut metadata);
    let mut spec = object(Some(&json!({
        "containerConcurrency": template.get("maxInstanceRequestConcurrency"),
        "timeoutSeconds": timeout,
        "serviceAccountName": template.get("serviceAccount"),
        "containers": containers(template).iter().map(container).collect::<Vec<_>>(),
    })));
    sparse(&mut spec);
    json!({ "metadata": metadata, "spec": spec })
}

fn containers(template: &Map<String, Value>) -> &[Value] {
    template.get("containers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn container(of: &Value) -> Value {
    let mut shown = object(Some(of));
    shown.retain(|field, _| SAME.contains(&field.as_str()));
    if let Some(limits) = of.get("resources").and_then(|resources| resources.get("limits")) {
        shown.insert("resources".to_owned(), json!({ "limits": limits }));
    }
    Value::Object(shown)
}

/// The template of v2 that a `spec.template` asks for, where `now` is the one in force.
pub(super) fn read(sent: &Value, now: &Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let sent = object(Some(sent));
    google::known(&sent, "spec.template", &["metadata", "spec"])?;
    let (metadata, spec) = (object(sent.get("metadata")), object(sent.get("spec")));
    google::known(&metadata, "spec.template.metadata", &["annotations", "creationTimestamp", "labels", "name"])?;
    let known = ["containerConcurrency", "containers", "enableServiceLinks", "serviceAccountName", "timeoutSeconds"];
    google::known(&spec, "spec.template.spec", &known)?;
    let mut annotations = object(metadata.get("annotations"));
    let mut take = |name: &str| annotations.remove(name).filter(|value| !value.is_null());
    let (client, version, boost) = (take(CLIENT), take(CLIENT_VERSION), take(BOOST));
    let (least, most) = (count(take(MIN))?, count(take(MAX))?);
    if let Some(strange) = annotations.keys().find(|key| GOOGLES.iter().any(|googles| key.starts_with(googles))) {
        return Err(Refusal::invalid(format!("spec.template: the annotation {strange} is not in this sandbox.")));
    }
    let mut template = now.clone();
    let mut scaling = object(now.get("scaling"));
    for (field, value) in [("minInstanceCount", least), ("maxInstanceCount", most)] {
        put(&mut scaling, field, value.map(|value| json!(value)));
    }
    let timeout = spec.get("timeoutSeconds").and_then(Value::as_u64).map(|seconds| json!(format!("{seconds}s")));
    for (field, value) in [
        ("revision", metadata.get("name").cloned()),
        ("labels", metadata.get("labels").cloned()),
        ("annotations", Some(Value::Object(annotations))),
        ("client", client),
        ("clientVersion", version),
        ("scaling", Some(Value::Object(scaling))),
        ("maxInstanceRequestConcurrency", spec.get("containerConcurrency").cloned()),
        ("timeout", timeout),
        ("serviceAccount", spec.get("serviceAccountName").cloned()),
    ] {
        put(&mut template, field, value);
    }
    let sent = spec.get("containers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let boost = boost.is_some_and(|boost| boost == "true");
    let mut made = Vec::with_capacity(sent.len());
    for (at, sent) in sent.iter().enumerate() {
        made.push(Value::Object(read_container(&object(Some(sent)), containers(now).get(at), boost && at == 0)?));
    }
    template.insert("containers".to_owned(), Value::Array(made));
    Ok(template)
}

fn read_container(sent: &Map<String, Value>, now: Option<&Value>, boost: bool) -> Result<Map<String, Value>, Refusal> {
    let known: Vec<&str> = SAME.into_iter().chain(["resources"]).collect();
    google::known(sent, "spec.template.spec.containers", &known)?;
    let mut made = object(now);
    for field in SAME {
        put(&mut made, field, sent.get(field).cloned());
    }
    let mut resources = object(made.get("resources"));
    let limits = sent.get("resources").and_then(|resources| resources.get("limits")).cloned();
    put(&mut resources, "limits", limits);
    put(&mut resources, "startupCpuBoost", boost.then_some(Value::Bool(true)));
    put(&mut made, "resources", Some(Value::Object(resources)));
    Ok(made)
}

/// Sets a field; what is empty is not there.
fn put(members: &mut Map<String, Value>, field: &str, value: Option<Value>) {
    let is_empty = |value: &Value| value.is_null() || *value == json!("") || *value == json!({}) || *value == json!([]);
    match value.filter(|value| !is_empty(value)) {
        Some(value) => members.insert(field.to_owned(), value),
        None => members.remove(field),
    };
}

fn count(text: Option<Value>) -> Result<Option<u64>, Refusal> {
    let invalid = |found: &Value| Refusal::invalid(format!("spec.template: {found} is no number of instances"));
    text.map(|text| text.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| invalid(&text))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_and_read_again_is_the_same() {
        let template = object(Some(&json!({
            "revision": "fraud-00001-a", "labels": {"team": "ml"}, "annotations": {"a/b": "c"}, "client": "mlroll",
            "scaling": {"minInstanceCount": 2, "maxInstanceCount": 9}, "timeout": "300s", "serviceAccount": "a@b",
            "maxInstanceRequestConcurrency": 80, "nodeSelector": {"accelerator": "nvidia-l4"},
            "containers": [{"image": "i", "ports": [{"containerPort": 8080}], "env": [{"name": "A", "value": "B"}],
                "resources": {"limits": {"cpu": "4"}, "startupCpuBoost": true, "cpuIdle": true}}],
        })));
        let shown = show(&template);
        assert_eq!(shown["metadata"]["annotations"][MIN], "2");
        assert_eq!(shown["spec"]["containers"][0]["resources"], json!({"limits": {"cpu": "4"}}));
        assert_eq!(read(&shown, &template).unwrap(), template);
        let mut another = shown.clone();
        another["spec"]["containers"][0]["image"] = json!("j");
        another["metadata"]["annotations"].as_object_mut().unwrap().remove(MIN);
        let made = read(&another, &template).unwrap();
        assert_eq!((&made["containers"][0]["image"], &made["scaling"]), (&json!("j"), &json!({"maxInstanceCount": 9})));
        assert_eq!(made["nodeSelector"], template["nodeSelector"], "v1 does not show it here, so it stays");
        for (place, value) in
            [("volumes", json!([{}])), ("metadata", json!({"annotations": {"run.googleapis.com/x": "y"}}))]
        {
            let mut strange = shown.clone();
            if place == "volumes" {
                strange["spec"][place] = value
            } else {
                strange[place] = value
            }
            assert!(read(&strange, &template).is_err(), "{place}");
        }
    }
}
