"""Writes, reads, lists and deletes large values in S3 as a runtime does, and a file by `ObjectStoragePath`.

Called with the address of the server; the connection `lake` is in the environment. Prints what it found as JSON.
"""

import asyncio
import hashlib
import json
import sys

import boto3

from tradewind.authoring.look_ups import from_environment
from tradewind.authoring.object_storage import ObjectStoragePath
from tradewind.model.errors import XComError
from tradewind.store.outside_values import OutsideValues


def values_of(installation):
    """The bucket's values as a runtime of that installation sees them."""
    values = OutsideValues("s3://lake@values/large")

    async def connection_text(conn_id):
        return from_environment("CONN", conn_id)[0]

    async def identity():
        return installation

    values.connection_text, values.installation = connection_text, identity
    return values


async def main(endpoint):
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="values")
    data = b"x" * 300_000
    digest = hashlib.sha256(data).digest()
    ours, others = values_of("ours"), values_of("others")
    address, theirs = await ours.write(digest, data), await others.write(digest, data)
    found = {"read": await ours.read(digest, address) == data, "of others": await ours.read(digest, theirs) == data}
    found["listed"] = [await ours.older_than(3600), await ours.older_than(-60) == [address]]
    deleted = await ours.delete([address, theirs])
    found["deleted"] = [deleted, await ours.older_than(-60), len(await others.older_than(-60))]
    try:
        await ours.read(digest, address)
    except XComError as error:
        found["gone"] = str(error).replace(address, "ADDRESS").partition(": ")[0]
    ours.close()
    others.close()
    return {"address": address, **found}


told = asyncio.run(main(sys.argv[1]))
path = ObjectStoragePath("s3://lake@values/files/a.txt")
path.write_text("by path")
told["path"] = [path.read_text(), [item.name for item in path.parent.iterdir()]]
print(json.dumps(told))
