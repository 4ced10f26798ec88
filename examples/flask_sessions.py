#!/usr/bin/env python3
"""A Flask application whose sessions live in a store: on a server, or in the application's own process.

flask_sessions.py [--port 5000] redis://127.0.0.1:6379/4      on whatever listens there (make run, for one)
flask_sessions.py [--port 5000]                               in this process; no server

curl -c jar -b jar http://127.0.0.1:5000/set/name/ann         sessions are known by their cookie
curl -c jar -b jar http://127.0.0.1:5000/get/name
redis-cli -n 4 KEYS 'session:*'
"""

from __future__ import annotations

import argparse

import redis
from flask import Flask, session
from flask_session import Session

import libkv

DATABASE = 4


def make_app(client: redis.Redis) -> Flask:
    """The application; client: where its sessions are kept."""
    app = Flask(__name__)
    app.config.update(SESSION_TYPE="redis", SESSION_REDIS=client, SESSION_PERMANENT=False)
    Session(app)

    @app.get("/set/<name>/<value>")
    def set_value(name: str, value: str) -> dict[str, str]:
        session[name] = value
        return dict(session)

    @app.get("/get/<name>")
    def get_value(name: str) -> str:
        return session.get(name, "")

    @app.get("/pop/<name>")
    def pop_value(name: str) -> str:
        return session.pop(name, "")

    @app.get("/clear")
    def clear() -> dict[str, str]:
        session.clear()
        return dict(session)

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="A Flask application with its sessions in a store.")
    parser.add_argument("url", nargs="?", help="redis://host:port/database; without it the store is in this process")
    parser.add_argument("--port", type=int, default=5000, help="where the application listens on 127.0.0.1")
    options = parser.parse_args()
    client = redis.Redis.from_url(options.url) if options.url else libkv.redis_client(libkv.Store(), db=DATABASE)
    make_app(client).run(host="127.0.0.1", port=options.port)


if __name__ == "__main__":
    main()
