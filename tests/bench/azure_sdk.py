"""What a pipeline does to shift traffic with Azure's own SDK: read the endpoint, set its traffic, wait for the end."""
import json
import os
import sys
import time

url, traffic = sys.argv[1:]
os.environ["AZUREML_DEV_URL_MFE"] = url  # In place of Azure Resource Manager.

from azure.ai.ml import MLClient
from azure.core.credentials import AccessToken
from azure.core.pipeline.policies import _authentication

_authentication._enforce_https = lambda request: request.context.options.pop("enforce_https", None)


class Static:
    def get_token(self, *scopes, **_):
        return AccessToken("sandbox", int(time.time()) + 3600)


client = MLClient(Static(), "00000000-0000-0000-0000-000000000000", "ml", "prod", enable_telemetry=False)
endpoint = client.online_endpoints.get("fraud")
endpoint.traffic = json.loads(traffic)
client.online_endpoints.begin_create_or_update(endpoint).result()
