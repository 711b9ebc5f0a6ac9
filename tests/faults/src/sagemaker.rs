//! The endpoint part of SageMaker's control plane, awsJson 1.1, as strict as the real one is known to be.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::http::{Message, Reader, Response};

/// An endpoint.
#[derive(Clone, Debug, Default)]
pub struct Endpoint {
    /// `InService` when empty.
    pub status: String,
    /// Name, live weight and wanted weight of each variant.
    pub variants: Vec<(String, f64, f64)>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// More members of the description, such as `FailureReason`, and of each variant under `ProductionVariants`.
    pub more: Map<String, Value>,
    /// When it was changed, in Unix seconds.
    pub modified: f64,
    /// How many more descriptions show the status before it is `InService` again.
    pub updating: usize,
}

/// A request that arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct SageMakerRequest {
    /// Such as `DescribeEndpoint`.
    pub operation: String,
    /// What it says.
    pub body: Value,
    /// How it was answered.
    pub status: u16,
}

/// How one request goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// It is refused: status, code and text.
    Refused(u16, &'static str, &'static str),
    /// It is done, and the answer lost.
    ResetAfter,
}

/// A control plane on a loopback port of its own. It ends with the process.
#[derive(Debug)]
pub struct SageMaker {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    endpoints: BTreeMap<String, Endpoint>,
    /// How many descriptions show an update before it is done.
    delay: usize,
    failures: VecDeque<(String, Failure)>,
    requests: Vec<SageMakerRequest>,
}

type Answer = Result<Value, (u16, &'static str, String)>;

impl SageMaker {
    /// Starts one without endpoints; an update takes one description.
    ///
    /// # Panics
    ///
    /// When there is no loopback port to be had.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test cannot go on without its server")]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port for the server");
        let address = listener.local_addr().expect("the port's address");
        let state = Arc::new(Mutex::new(State {
            endpoints: BTreeMap::new(),
            delay: 1,
            failures: VecDeque::new(),
            requests: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { address, state }
    }

    /// Returns the endpoint URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds an endpoint of these variants and weights that has long been in service.
    pub fn add(&self, name: &str, weights: &[(&str, f64)]) {
        let variants = weights.iter().map(|(variant, weight)| ((*variant).to_owned(), *weight, *weight)).collect();
        self.state().endpoints.insert(name.to_owned(), Endpoint { variants, ..Endpoint::default() });
    }

    /// Changes an endpoint as another client, or AWS, would.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Endpoint)) {
        self.state().endpoints.get_mut(name).map(change);
    }

    /// Returns an endpoint as it is at this moment.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Option<Endpoint> {
        self.state().endpoints.get(name).cloned()
    }

    /// How many descriptions show an update before it is done.
    pub fn set_delay(&self, descriptions: usize) {
        self.state().delay = descriptions;
    }

    /// Lets the next request of an operation go wrong, after those told before.
    pub fn fail(&self, operation: &str, failure: Failure) {
        self.state().failures.push_back((operation.to_owned(), failure));
    }

    /// Returns the requests so far in the order of their arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<SageMakerRequest> {
        self.state().requests.clone()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.state().requests.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(stream: &TcpStream, shared: &Mutex<State>) {
    let mut writer = stream;
    let mut reader = Reader::new(stream);
    while let Ok(Some(message)) = reader.next_message() {
        let Some(response) = shared.lock().unwrap_or_else(PoisonError::into_inner).exchange(&message) else {
            return;
        };
        if writer.write_all(&response.bytes()).is_err() || message.closes() {
            return;
        }
    }
}

impl State {
    /// The answer; none when it is lost.
    fn exchange(&mut self, message: &Message) -> Option<Response> {
        let target = message.header("x-amz-target").unwrap_or_default();
        let scaling = target.strip_prefix("AnyScaleFrontendService.");
        let operation = scaling.or(target.strip_prefix("SageMaker.")).unwrap_or_default().to_owned();
        let body: Value = serde_json::from_slice(&message.body).unwrap_or_default();
        let place = self.failures.iter().position(|(of, _)| *of == operation);
        let failure = place.and_then(|at| self.failures.remove(at)).map(|(_, failure)| failure);
        let answer = match &failure {
            Some(Failure::Refused(status, code, text)) => Err((*status, *code, (*text).to_owned())),
            Some(Failure::ResetAfter) | None => self.answer(message, &operation, &body),
        };
        let (status, answer) = match answer {
            Ok(answer) => (200, answer),
            Err((status, code, text)) => (status, json!({"__type": code, "message": text})),
        };
        self.requests.push(SageMakerRequest { operation, body, status });
        let lost = failure == Some(Failure::ResetAfter);
        (!lost).then(|| Response::new(status, "application/x-amz-json-1.1", answer.to_string()))
    }

    fn answer(&mut self, message: &Message, operation: &str, body: &Value) -> Answer {
        if message.header("content-type") != Some("application/x-amz-json-1.1") {
            return Err((404, "UnknownOperationException", String::new()));
        }
        // Nothing here is autoscaled.
        if let (Some((_, "application-autoscaling")), "DescribeScalableTargets") = (message.scope(), operation) {
            return Ok(json!({ "ScalableTargets": [] }));
        }
        let Some((region, "sagemaker")) = message.scope() else {
            return Err((403, "InvalidSignatureException", "not signed for sagemaker".to_owned()));
        };
        let arn = |name: &str| format!("arn:aws:sagemaker:{region}:123456789012:endpoint/{name}");
        match operation {
            "DescribeEndpoint" => {
                let name = text(body, "EndpointName");
                let endpoint = self.endpoints.get_mut(name).ok_or_else(|| no_endpoint(&arn(name)))?;
                Ok(endpoint.describe(name, &arn(name)))
            }
            "DescribeEndpointConfig" => {
                let name = text(body, "EndpointConfigName");
                let endpoint = name.strip_suffix("-config").and_then(|name| self.endpoints.get(name));
                let endpoint =
                    endpoint.ok_or_else(|| invalid(format!("Could not find endpoint configuration \"{name}\".")))?;
                Ok(endpoint.config(name))
            }
            "ListTags" => {
                let (_, endpoint) = self.of_arn(body)?;
                let tags: Vec<Value> = endpoint.tags.iter().map(|(k, v)| json!({"Key": k, "Value": v})).collect();
                Ok(json!({ "Tags": tags }))
            }
            "AddTags" => {
                for tag in body["Tags"].as_array().into_iter().flatten() {
                    let allowed = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
                    let value = text(tag, "Value");
                    if value.chars().count() > 256 || !value.chars().all(allowed) {
                        let text = format!(
                            "1 validation error detected: Value '{value}' at 'tags.1.member.value' failed to satisfy \
                             constraint: Member must satisfy regular expression pattern"
                        );
                        return Err(invalid(text));
                    }
                    let (_, endpoint) = self.of_arn(body)?;
                    endpoint.tags.insert(text(tag, "Key").to_owned(), value.to_owned());
                }
                Ok(json!({"Tags": body["Tags"]}))
            }
            "DeleteTags" => {
                let (_, endpoint) = self.of_arn(body)?;
                for key in body["TagKeys"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    endpoint.tags.remove(key);
                }
                Ok(json!({}))
            }
            "UpdateEndpointWeightsAndCapacities" => {
                let delay = self.delay;
                let name = text(body, "EndpointName");
                let endpoint = self.endpoints.get_mut(name).ok_or_else(|| no_endpoint(&arn(name)))?;
                endpoint.update(body, &arn(name), delay)?;
                Ok(json!({"EndpointArn": arn(name)}))
            }
            _ => Err((400, "UnknownOperationException", String::new())),
        }
    }

    fn of_arn(&mut self, body: &Value) -> Result<(&String, &mut Endpoint), (u16, &'static str, String)> {
        let arn = text(body, "ResourceArn");
        let name = arn.rsplit('/').next().unwrap_or_default();
        self.endpoints.iter_mut().find(|(of, _)| *of == name).ok_or_else(|| no_endpoint(arn))
    }
}

impl Endpoint {
    fn describe(&mut self, name: &str, arn: &str) -> Value {
        if self.updating > 0 {
            self.updating -= 1;
        } else if self.status == "Updating" {
            self.status.clear();
            for (_, live, wanted) in &mut self.variants {
                *live = *wanted;
            }
        }
        let status = if self.status.is_empty() { "InService" } else { &self.status };
        let more = self.more.get("ProductionVariants").and_then(Value::as_object).cloned().unwrap_or_default();
        let variants: Vec<Value> = self
            .variants
            .iter()
            .map(|(variant, live, wanted)| {
                let mut shown = json!({
                    "VariantName": variant, "CurrentWeight": live, "DesiredWeight": wanted,
                    "CurrentInstanceCount": 1, "DesiredInstanceCount": 1,
                });
                if let Some(shown) = shown.as_object_mut() {
                    shown.extend(more.clone());
                    // A variant that has never had a weight may show none.
                    if *live == 0.0 && *wanted == 0.0 {
                        shown.retain(|member, _| !member.ends_with("Weight"));
                    }
                }
                shown
            })
            .collect();
        let mut shown = json!({
            "EndpointName": name, "EndpointArn": arn, "EndpointConfigName": format!("{name}-config"),
            "EndpointStatus": status, "CreationTime": 1.0, "LastModifiedTime": self.modified,
            "ProductionVariants": variants,
        });
        if let Some(shown) = shown.as_object_mut() {
            shown.extend(
                self.more.iter().filter(|(key, _)| *key != "ProductionVariants").map(|(k, v)| (k.clone(), v.clone())),
            );
        }
        shown
    }

    fn config(&self, name: &str) -> Value {
        let components = self.more.contains_key("InferenceComponents");
        let variants: Vec<Value> = self
            .variants
            .iter()
            .map(|(variant, _, _)| match components {
                true => json!({"VariantName": variant, "InstanceType": "ml.m5.large"}),
                false => json!({"VariantName": variant, "ModelName": format!("model-{variant}")}),
            })
            .collect();
        json!({
            "EndpointConfigName": name, "EndpointConfigArn": format!("arn:aws:sagemaker:x:1:endpoint-config/{name}"),
            "ProductionVariants": variants, "CreationTime": 1.0,
        })
    }

    fn update(&mut self, body: &Value, arn: &str, delay: usize) -> Result<(), (u16, &'static str, String)> {
        if !self.status.is_empty() && self.status != "InService" {
            return Err(invalid(format!("Cannot update in-progress endpoint \"{arn}\".")));
        }
        let mut variants = self.variants.clone();
        for wanted in body["DesiredWeightsAndCapacities"].as_array().into_iter().flatten() {
            let name = text(wanted, "VariantName");
            let Some((_, _, weight)) = variants.iter_mut().find(|(variant, _, _)| variant == name) else {
                return Err(invalid(format!(
                    "The variant name(s) \"{name}\" is/are not present within endpoint configuration."
                )));
            };
            if wanted.get("DesiredInstanceCount").is_some() {
                return Err(invalid("a capacity step blocks weights for minutes: this test wants none".to_owned()));
            }
            *weight = wanted["DesiredWeight"].as_f64().unwrap_or(*weight);
        }
        if variants.iter().all(|(_, _, weight)| *weight == 0.0) || variants.iter().any(|(_, _, weight)| *weight < 0.0) {
            return Err(invalid("weights are at least 0, and one of them is above".to_owned()));
        }
        self.variants = variants;
        self.status = "Updating".to_owned();
        self.updating = delay;
        self.modified = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64().floor());
        Ok(())
    }
}

fn text<'v>(body: &'v Value, member: &str) -> &'v str {
    body.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn invalid(text: String) -> (u16, &'static str, String) {
    (400, "ValidationException", text)
}

fn no_endpoint(arn: &str) -> (u16, &'static str, String) {
    invalid(format!("Could not find endpoint \"{arn}\"."))
}
