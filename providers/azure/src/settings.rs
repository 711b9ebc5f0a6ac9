//! What Azure's services are told: which cloud, which endpoint, who asks. Values are resolved already; nothing here reads
//! the environment.

use std::fmt;

use mlroll_backend::{Error, ErrorKind, Proxy, Result};

/// The variables that [`Settings::from_lookup`] asks for.
pub const VARIABLES: [&str; 14] = [
    "AZURE_ACCESS_TOKEN",
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLOUD",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_LOGS_ACCESS_TOKEN",
    "AZURE_TENANT_ID",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "IDENTITY_ENDPOINT",
    "MLROLL_AZURE_CREDENTIAL",
    "MLROLL_ENDPOINT_AZURE",
    "MLROLL_ENDPOINT_AZURE_LOGS",
];

/// Which cloud, which endpoints, who asks.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub(crate) endpoint: Option<String>,
    pub(crate) logs_endpoint: Option<String>,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) cloud: Option<String>,
    pub(crate) authority_host: Option<String>,
    pub(crate) access_token: Option<Secret>,
    pub(crate) logs_token: Option<Secret>,
    pub(crate) credential: Option<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) client: Option<String>,
    pub(crate) client_secret: Option<Secret>,
    pub(crate) federated_token_file: Option<String>,
    pub(crate) oidc_url: Option<String>,
    pub(crate) oidc_token: Option<Secret>,
    pub(crate) identity_endpoint: bool,
}

/// A text that is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Secret(String);

/// One of Azure's clouds: names of Azure CLI 2.91 (`cloud.py`) and of the SDKs' `AZURE_CLOUD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cloud {
    names: &'static [&'static str],
    /// Azure Resource Manager; with `/.default` behind it also the scope of its tokens.
    pub(crate) arm: &'static str,
    /// Microsoft Entra.
    pub(crate) authority: &'static str,
    /// The query API of Log Analytics, where it is known; with `/.default` behind it also the scope of its tokens.
    logs: Option<&'static str>,
}

/// An API with a host and tokens of its own. A token for one is never sent to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// Queries of Log Analytics.
    Logs,
    /// Azure Resource Manager, with Azure Monitor's metrics under it.
    ResourceManager,
}

/// The first is the public one.
const CLOUDS: [Cloud; 4] = [
    Cloud {
        names: &["AzureCloud", "AzurePublicCloud", "AZURE_PUBLIC_CLOUD"],
        arm: "https://management.azure.com",
        authority: "https://login.microsoftonline.com",
        logs: Some("https://api.loganalytics.io"),
    },
    Cloud {
        names: &["AzureUSGovernment", "AZURE_US_GOVERNMENT"],
        arm: "https://management.usgovcloudapi.net",
        authority: "https://login.microsoftonline.us",
        logs: Some("https://api.loganalytics.us"),
    },
    Cloud {
        names: &["AzureChinaCloud", "AZURE_CHINA_CLOUD"],
        arm: "https://management.chinacloudapi.cn",
        authority: "https://login.chinacloudapi.cn",
        logs: Some("https://api.loganalytics.azure.cn"),
    },
    Cloud {
        names: &["AzureBleuCloud"],
        arm: "https://management.sovcloud-api.fr",
        authority: "https://login.sovcloud-identity.fr",
        logs: None,
    },
];

impl Settings {
    /// Reads an environment given as a function. An empty variable is an unset one.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        Self {
            endpoint: set("MLROLL_ENDPOINT_AZURE"),
            logs_endpoint: set("MLROLL_ENDPOINT_AZURE_LOGS"),
            proxy: None,
            cloud: set("AZURE_CLOUD"),
            authority_host: set("AZURE_AUTHORITY_HOST"),
            access_token: set("AZURE_ACCESS_TOKEN").map(Secret),
            logs_token: set("AZURE_LOGS_ACCESS_TOKEN").map(Secret),
            credential: set("MLROLL_AZURE_CREDENTIAL"),
            tenant: set("AZURE_TENANT_ID"),
            client: set("AZURE_CLIENT_ID"),
            client_secret: set("AZURE_CLIENT_SECRET").map(Secret),
            federated_token_file: set("AZURE_FEDERATED_TOKEN_FILE"),
            oidc_url: set("ACTIONS_ID_TOKEN_REQUEST_URL"),
            oidc_token: set("ACTIONS_ID_TOKEN_REQUEST_TOKEN").map(Secret),
            identity_endpoint: set("IDENTITY_ENDPOINT").is_some(),
        }
    }

    /// The same, with requests by https going by way of `proxy`.
    #[must_use]
    pub fn by_way_of(self, proxy: Option<Proxy>) -> Self {
        Self { proxy, ..self }
    }

    /// The cloud that is named, else the one whose login or whose endpoint is used, else the public one.
    ///
    /// # Errors
    /// A cloud of another name.
    pub(crate) fn cloud(&self) -> Result<Cloud> {
        if let Some(name) = &self.cloud {
            let named = CLOUDS.into_iter().find(|cloud| cloud.names.iter().any(|n| n.eq_ignore_ascii_case(name)));
            return named.ok_or_else(|| {
                let known: Vec<&str> = CLOUDS.iter().filter_map(|cloud| cloud.names.first().copied()).collect();
                invalid(format!("AZURE_CLOUD is `{}`; known are {}", name.escape_debug(), known.join(", ")))
            });
        }
        let host = |url: &str| url.split("://").last().unwrap_or_default().trim_end_matches('/').to_ascii_lowercase();
        let used: Vec<String> = self.authority_host.iter().chain(&self.endpoint).map(|url| host(url)).collect();
        let is_used =
            |cloud: &Cloud| used.iter().any(|used| *used == host(cloud.authority) || *used == host(cloud.arm));
        let [public, ..] = CLOUDS;
        Ok(CLOUDS.into_iter().find(is_used).unwrap_or(public))
    }
}

impl Cloud {
    /// Where an API is, and with `/.default` behind it the scope of its tokens.
    ///
    /// # Errors
    /// The cloud has none that is known.
    pub(crate) fn host(&self, api: Api) -> Result<&'static str> {
        match api {
            Api::ResourceManager => Ok(self.arm),
            Api::Logs => self.logs.ok_or_else(|| {
                let name = self.names.first().copied().unwrap_or_default();
                invalid(format!("nobody knows where Log Analytics of {name} is asked; leave out `logs`"))
            }),
        }
    }
}

impl Api {
    /// The variable that holds a ready token for it.
    pub(crate) const fn token_variable(self) -> &'static str {
        match self {
            Self::Logs => "AZURE_LOGS_ACCESS_TOKEN",
            Self::ResourceManager => "AZURE_ACCESS_TOKEN",
        }
    }

    /// The variable that holds another address of it.
    pub(crate) const fn endpoint_variable(self) -> &'static str {
        match self {
            Self::Logs => "MLROLL_ENDPOINT_AZURE_LOGS",
            Self::ResourceManager => "MLROLL_ENDPOINT_AZURE",
        }
    }

    /// The ready token for it.
    pub(crate) const fn ready(self, settings: &Settings) -> Option<&Secret> {
        match self {
            Self::Logs => settings.logs_token.as_ref(),
            Self::ResourceManager => settings.access_token.as_ref(),
        }
    }

    /// Its other address.
    pub(crate) fn endpoint(self, settings: &Settings) -> Option<&str> {
        match self {
            Self::Logs => settings.logs_endpoint.as_deref(),
            Self::ResourceManager => settings.endpoint.as_deref(),
        }
    }
}

impl Secret {
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A fault of the settings.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "settings", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        Settings::from_lookup(|name| {
            assert!(VARIABLES.contains(&name), "{name} is not declared");
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn secrets_are_not_printed_and_empty_is_unset() {
        let told =
            settings(&[("AZURE_ACCESS_TOKEN", "hunter2"), ("AZURE_CLIENT_SECRET", "hunter2"), ("AZURE_CLOUD", "")]);
        let printed = format!("{told:?}");
        assert!(printed.contains("***") && !printed.contains("hunter2") && told.cloud.is_none(), "{printed}");
    }

    #[test]
    fn the_cloud_follows_from_its_name_its_login_or_its_endpoint() {
        for (pairs, arm) in [
            (&[][..], "https://management.azure.com"),
            (&[("AZURE_CLOUD", "azureusgovernment")], "https://management.usgovcloudapi.net"),
            (&[("AZURE_CLOUD", "AZURE_CHINA_CLOUD")], "https://management.chinacloudapi.cn"),
            (&[("AZURE_AUTHORITY_HOST", "https://login.chinacloudapi.cn/")], "https://management.chinacloudapi.cn"),
            (&[("AZURE_AUTHORITY_HOST", "login.sovcloud-identity.fr")], "https://management.sovcloud-api.fr"),
            (
                &[("MLROLL_ENDPOINT_AZURE", "https://management.usgovcloudapi.net")],
                "https://management.usgovcloudapi.net",
            ),
            (&[("MLROLL_ENDPOINT_AZURE", "http://127.0.0.1:4620")], "https://management.azure.com"),
        ] {
            assert_eq!(settings(pairs).cloud().unwrap().arm, arm, "{pairs:?}");
        }
        let error = settings(&[("AZURE_CLOUD", "moon")]).cloud().unwrap_err();
        assert!(error.message().contains("AzureUSGovernment"), "{error}");
    }
}
