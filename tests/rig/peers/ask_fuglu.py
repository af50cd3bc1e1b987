"""Has a scanner plugin of fuglu ask the scanner at a port about some bytes: ask_fuglu.py PLUGIN PORT [OPTION=VALUE...]"""

import asyncio
import inspect
import sys

from fuglu.plugins import antivirus
from fuglu.shared import FuConfigParser

plugin_name, port, *options = sys.argv[1:]
config = FuConfigParser()
config.add_section("rig")
plugin = getattr(antivirus, plugin_name)(config, "rig")
for option, description in plugin.requiredvars.items():
    config.set("rig", option, str(description["default"]))
for option in ["host=127.0.0.1", "port=" + port, "timeout=20", "retries=1", *options]:
    config.set("rig", *option.split("=", 1))
found = plugin.scan_stream(b"a few bytes\n", "rig")
if inspect.isawaitable(found):

    async def wait():
        return await found

    found = asyncio.run(wait())
print("infected:", next(iter(found.values()))) if found else print("clean")
