"""Makes the function `fraud` with versions 1 to 3 and the alias `prod` on version 2, with a plain AWS client."""
import io
import sys
import zipfile

import boto3

client = dict(
    endpoint_url=sys.argv[1],
    region_name="us-east-1",
    aws_access_key_id="test",
    aws_secret_access_key="test",
)
role = boto3.client("iam", **client).create_role(RoleName="fraud", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
functions = boto3.client("lambda", **client)


def code(text):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.py", text)
    return buffer.getvalue()


functions.create_function(
    FunctionName="fraud",
    Runtime="python3.12",
    Role=role,
    Handler="model.handler",
    Code={"ZipFile": code("1")},
    Publish=True,
)
for text in "23":
    functions.update_function_code(FunctionName="fraud", ZipFile=code(text), Publish=True)
functions.create_alias(FunctionName="fraud", Name="prod", FunctionVersion="2", Description="owned by ml")
