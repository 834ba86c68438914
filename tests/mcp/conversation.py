"""A conversation of the official client library with `brow-tui mcp`: PROGRAM REVISION, or auto for its own choice."""

import asyncio
import os
import sys

import mcp.client.session
import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

TOOLS = ["list_targets", "list_forwards", "list_pods", "list_clusters", "connect", "renew", "stop", "check", "why", "find"]


async def fetch(forward):
    """The answer of the web server behind a forward."""
    reader, writer = await asyncio.open_connection("127.0.0.1", forward["port"])
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer


async def converse(program, revision):
    mode = revision
    legacy = revision.startswith(("2024", "2025"))
    if legacy:
        # The library begins with the newest of those with a handshake: this is to be it.
        mode, mcp.client.session.LATEST_HANDSHAKE_VERSION = "legacy", revision
    asked = []
    answers = iter(["once", "refuse"])

    async def elicit(_context, params):
        asked.append(params.message)
        return types.ElicitResult(action="accept", content={"consent": next(answers)})

    updated = asyncio.Event()

    async def on_message(message):
        if isinstance(message, types.ResourceUpdatedNotification):
            updated.set()

    async def listen():
        async with client.listen(resource_subscriptions=["brow://forwards"]) as subscription:
            listening.set()
            async for _event in subscription:
                updated.set()
                return

    server = StdioServerParameters(command=program, args=["mcp"], env=dict(os.environ))
    name = types.Implementation(name="peer", version="7")
    async with Client(
        stdio_client(server), mode=mode, elicitation_callback=elicit, message_handler=on_message, client_info=name
    ) as client:
        assert client.protocol_version == revision or revision == "auto", client.protocol_version
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == TOOLS
        listening, listener = asyncio.Event(), None
        if legacy:
            await client.subscribe_resource("brow://forwards")
        else:
            listener = asyncio.create_task(listen())
            await listening.wait()

        # The library checks results against the schemas of the tools.
        async def call(tool, **arguments):
            result = await client.call_tool(tool, arguments)
            assert not result.is_error, result
            return result.structured_content

        async def refused(tool, **arguments):
            result = await client.call_tool(tool, arguments)
            assert result.is_error, result
            return result.content[0].text

        assert [target["name"] for target in (await call("list_targets"))["targets"]][0] == "page"
        page = (await call("connect", target="page"))["forwards"][0]
        assert page["own"] and page["agent"] == "peer 7", page
        assert (await fetch(page)).startswith(b"HTTP/1"), "it leads to the target"
        await asyncio.wait_for(updated.wait(), 60)
        if listener:
            await listener
        assert page["forward"] in [forward["forward"] for forward in (await call("list_forwards"))["forwards"]]
        assert [pod["target"] for pod in (await call("list_pods"))["pods"]] == ["page"]
        assert (await call("list_clusters"))["clusters"][0]["name"] == "practice"
        assert "expires" in await call("renew", forward=page["forward"], ttl="30m")

        # Only later revisions have a way to ask the user.
        if revision in ("2024-11-05", "2025-03-26"):
            assert "nobody could be asked" in await refused("connect", target="redis")
        else:
            redis = (await call("connect", target="redis", ttl="5m"))["forwards"][0]
            assert (await call("stop", forward=redis["forward"])) == {"stopped": redis["forward"]}
            assert "the person refused" in await refused("connect", target="redis")
            assert len(asked) == 2 and 'an agent asks to connect to redis in cluster practice, for 5m. It calls itself "peer 7"' in asked[0], asked
        assert "not offered" in await refused("connect", target="secret")
        assert (await call("check"))["findings"]
        text = (await client.read_resource("brow://forwards")).contents[0].text
        assert '"page"' in text, text
    print("all is well")


asyncio.run(converse(*sys.argv[1:]))
