"""A real MCP server, made with the official Python SDK: mcp_server.py TRANSPORT [PORT [standby]].

On standby it is loaded, and serves once a line comes in.
"""

import os
import sys

import anyio
from mcp.server.mcpserver import MCPServer

transport = sys.argv[1]
where = {"host": "127.0.0.1", "port": int(sys.argv[2])} if len(sys.argv) > 2 else {}
server = MCPServer("sums", instructions="Sums are exact.", log_level="ERROR")


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
async def slow(mark: str) -> str:
    """Takes a minute; leaves a mark first."""
    open(mark, "w").write(str(os.getpid()))
    await anyio.sleep(60)
    return "late"


@server.tool()
def die() -> str:
    """Ends the server in the middle of the call."""
    os._exit(3)


@server.tool()
def secret() -> str:
    """Says which of the settings arrived."""
    return os.environ.get("TOKEN", "none")


if sys.argv[3:] == ["standby"]:
    sys.stdin.readline()
server.run(transport=transport, **where)
