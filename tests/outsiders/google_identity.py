"""Google's own authentication library gets tokens from the sandbox, and mlroll takes the same files.

The argument is the program `mlroll`.
"""
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import urllib.request

SANDBOX = os.environ["MLROLL_SANDBOX_URL"]
# Read when the library is imported.
os.environ["GCE_METADATA_HOST"] = os.environ["GCE_METADATA_IP"] = SANDBOX.removeprefix("http://")

import google.auth
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import exceptions, identity_pool, impersonated_credentials, jwt
from google.auth.transport.requests import Request
from google.oauth2 import credentials as user_credentials
from google.oauth2 import id_token, service_account

MLROLL = sys.argv[1]
SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
POOL = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/providers/github"
ACCOUNT = "mlroll@acme.iam.gserviceaccount.com"
folder = tempfile.mkdtemp()


def fresh(credentials):
    credentials.refresh(Request())
    assert credentials.valid and credentials.token, credentials
    return credentials.token


def raises(kind, says, credentials):
    try:
        fresh(credentials)
    except kind as error:
        assert says in str(error), error
        return
    raise AssertionError(f"a token, and not {says}")


def taken(info):
    """mlroll is content with the same credentials."""
    path = os.path.join(folder, "credentials.json")
    json.dump(info, open(path, "w"))
    env = os.environ | {"GOOGLE_OAUTH_ACCESS_TOKEN": "", "GOOGLE_APPLICATION_CREDENTIALS": path, "HOME": folder}
    command = [MLROLL, "status", "--target", "cloud-run:acme/europe-west3/fraud"]
    ran = subprocess.run(command, env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def federated(source, **more):
    return {
        "type": "external_account", "audience": POOL, "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{SANDBOX}/v1/token", "credential_source": source, **more,
    }


def github(audience):
    return {
        "url": f"{SANDBOX}/github/token?audience={audience}", "headers": {"Authorization": "Bearer job"},
        "format": {"type": "json", "subject_token_field_name": "value"},
    }


def pool(info):
    return identity_pool.Credentials.from_info(info, scopes=SCOPES)


# Workload Identity Federation: by URL and by file, directly and as a service account.
direct = federated(github(f"https:{POOL}"))
account = f"{SANDBOX}/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"
as_account = direct | {"service_account_impersonation_url": account}
asked = urllib.request.Request(f"{SANDBOX}/github/token?audience={POOL}", headers={"Authorization": "bearer job"})
subject = json.load(urllib.request.urlopen(asked))["value"]
assert jwt.decode(subject, verify=False)["sub"] == "repo:acme/fraud:ref:refs/heads/main"
path = os.path.join(folder, "subject")
open(path, "w").write(subject)
for info in [direct, as_account, federated({"file": path})]:
    fresh(pool(info))
    taken(info)
raises(exceptions.OAuthError, "does not match the expected audience", pool(federated(github("https://github.com/acme"))))
raises(exceptions.OAuthError, "invalid_request", pool(direct | {"audience": POOL.replace("/1/", "/acme/")}))
nobody = {"service_account_impersonation_url": account.replace(ACCOUNT, "nobody")}
raises(exceptions.RefreshError, "Gaia id not found", pool(direct | nobody))

# A user, a key, and the machine.
user = {
    "type": "authorized_user", "client_id": "me", "client_secret": "secret", "refresh_token": "refresh",
    "token_uri": f"{SANDBOX}/token",
}
fresh(user_credentials.Credentials(None, **{key: user[key] for key in user if key != "type"}))
taken(user)
pair = rsa.generate_private_key(public_exponent=65537, key_size=2048)
public = pair.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
key = pair.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
key = {
    "type": "service_account", "project_id": "acme", "private_key_id": "k", "private_key": key.decode(),
    "client_email": ACCOUNT, "client_id": "1", "token_uri": f"{SANDBOX}/token",
}
fresh(service_account.Credentials.from_service_account_info(key, scopes=SCOPES))
taken(key)
AUDIENCE = "https://fraud-acme.europe-west3.run.app"
mine = service_account.IDTokenCredentials.from_service_account_info(key, target_audience=AUDIENCE)
assert jwt.decode(fresh(mine), verify=False)["aud"] == AUDIENCE
machine, project = google.auth.default(scopes=SCOPES)
assert project == "acme" and fresh(machine) and machine.service_account_email == ACCOUNT, machine
assert jwt.decode(id_token.fetch_id_token(Request(), AUDIENCE), verify=False)["email"] == ACCOUNT

# To be somebody else needs a token that may.
source = pool(direct)
other = impersonated_credentials.Credentials(source, ACCOUNT, SCOPES, iam_endpoint_override=account)
fresh(other)
narrow = identity_pool.Credentials.from_info(direct, scopes=["https://www.googleapis.com/auth/monitoring.read"])
for where, token, code in [("Token", fresh(narrow), 403), ("Token", None, 401), ("Anything", fresh(source), 501)]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = account.replace("AccessToken", where) if where != "Token" else account
    asked = urllib.request.Request(url, json.dumps({"scope": SCOPES}).encode(), headers)
    try:
        urllib.request.urlopen(asked)
        raise AssertionError(f"{where} is not refused")
    except urllib.error.HTTPError as error:
        assert error.code == code, (where, error.code, error.read())


# mlroll asks a new revision with the key of a service account: what it has signed is verified by Google's library, on its
# way to the sandbox.
signed = []


class Verifier(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        form = self.rfile.read(int(self.headers["Content-Length"]))
        assertion = dict(urllib.parse.parse_qsl(form.decode()))["assertion"]
        signed.append(jwt.decode(assertion, certs=public, audience=f"http://127.0.0.1:{server.server_port}"))
        asked = urllib.request.Request(f"{SANDBOX}/token", form, {"Content-Type": self.headers["Content-Type"]})
        answer = urllib.request.urlopen(asked).read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Verifier)
threading.Thread(target=server.serve_forever, daemon=True).start()
faster = urllib.request.Request(f"{SANDBOX}/_sandbox/clock", json.dumps({"speed": 300}).encode())
urllib.request.urlopen(faster)
path = os.path.join(folder, "key.json")
json.dump(key | {"token_uri": f"http://127.0.0.1:{server.server_port}"}, open(path, "w"))
open(os.path.join(folder, "request.json"), "w").write("{}")
env = os.environ | {"GOOGLE_OAUTH_ACCESS_TOKEN": "", "GOOGLE_APPLICATION_CREDENTIALS": path, "HOME": folder}
command = [MLROLL, "deploy", "--image", "fraud:key", "--smoke", "request.json", "--output", "json"]
command += ["--target", "cloud-run:acme/europe-west3/fraud"]
ran = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True)
assert ran.returncode == 0, ran.stdout + ran.stderr
assert json.loads(ran.stdout)["targets"][0]["smoke"]["answer"].startswith("200 "), ran.stdout
(claims,) = signed
assert (claims["iss"], claims["target_audience"]) == (ACCOUNT, AUDIENCE), claims
