# SPDX-License-Identifier: Apache-2.0
"""Run by the Python that has ministack: the owner of an account there, by AWS's own client library.

Arguments: endpoint. One JSON line in, ``[operation, arguments]``; one out, ``{"ok": answer}`` or ``{"error": code}``.
"""

from __future__ import annotations

import json
import sys

import botocore.exceptions
import botocore.session


def main() -> None:
    """Until standard input ends."""
    client = botocore.session.get_session().create_client(
        "iot", "us-east-1", endpoint_url=sys.argv[1], aws_access_key_id="test", aws_secret_access_key="test")
    for line in sys.stdin:
        operation, arguments = json.loads(line)
        try:
            answer = client._make_api_call(operation, arguments)
            answer.pop("ResponseMetadata", None)
            told = {"ok": answer}
        except botocore.exceptions.ClientError as error:
            told = {"error": error.response["Error"]["Code"]}
        except botocore.exceptions.ParamValidationError:
            told = {"error": "ParamValidationError"}
        print(json.dumps(told, default=str), flush=True)


main()
