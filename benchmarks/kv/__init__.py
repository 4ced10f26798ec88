"""libkv's benchmarks: our server and our store beside Debian's redis-server."""
