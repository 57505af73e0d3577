#!/usr/bin/env python3
"""Checks what docker-compose.yml and deploy/Dockerfile must have in common with the
rest of the project, and how .env is read, without a Docker engine. Needs PyYAML. Lists every fault; exits 1
on any.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import yaml

TOP = Path(__file__).resolve().parent.parent
# Settings that no file of config/ has: production takes them from the environment.
REQUIRED = {"tickets.id_secrets", "admin.token", "auth.mode", "mysql.url", "rabbitmq.url"}
# Secrets that it may have there, too.
OPTIONAL = {"auth.hmac_secret", "redis.url"}
SERVERS = {"mysql", "rabbitmq", "redis"}
# Of the profile `observability`.
OBSERVING = {"prometheus", "grafana", "otel-collector", "jaeger"}
UNITS = {"h": 3600, "m": 60, "s": 1}

faults = []


def expect(condition, fault):
    if not condition:
        faults.append(fault)


def read(path):
    return (TOP / path).read_text()


def interpolated(text):
    """The values that hold when neither the environment nor .env sets anything."""
    text = re.sub(r"(?<!\$)\$\{\w+:-([^}]*)\}", r"\1", text)
    expect(not re.search(r"(?<!\$)\$(?!\$)", text), "docker-compose.yml: a variable has no default")
    return text


def settings():
    """What production.toml leaves of base.toml, as {"section.key": value}."""
    merged = {}
    for name in ("base", "production"):
        for section, keys in tomllib.loads(read(f"config/{name}.toml")).items():
            merged |= {f"{section}.{key}": value for key, value in keys.items()}
    return merged


def seconds(duration):
    return sum(int(n) * UNITS[unit] for n, unit in re.findall(r"(\d+)([hms])", str(duration)))


def version(text):
    return tuple(int(part) for part in text.split("."))


def check_environment(name, environment, servers, known):
    given = {key[5:].lower().replace("__", "."): value for key, value in environment.items()}
    unknown = given.keys() - known.keys() - REQUIRED - OPTIONAL
    expect(not unknown, f"{name}: unknown settings {unknown}")
    expect(REQUIRED <= given.keys(), f"{name}: production needs {REQUIRED - given.keys()}")
    for key in ("tickets.id_secrets", "admin.token"):
        expect(len(given.get(key, "")) >= 16, f"{name}: {key} needs 16 bytes")
    mysql = servers["mysql"]["environment"]
    login = f"{mysql['MYSQL_USER']}:{mysql['MYSQL_PASSWORD']}"
    url = f"mysql://{login}@mysql:3306/{mysql['MYSQL_DATABASE']}"
    expect(given.get("mysql.url") == url, f"{name}: mysql.url is not {url}")
    rabbitmq = servers["rabbitmq"]["environment"]
    login = f"{rabbitmq['RABBITMQ_DEFAULT_USER']}:{rabbitmq['RABBITMQ_DEFAULT_PASS']}"
    expect(urlsplit(given.get("rabbitmq.url", "")).netloc == f"{login}@rabbitmq:5672", f"{name}: rabbitmq.url")
    url = f"redis://default:{servers['redis']['command'][-1]}@redis:6379"
    expect(given.get("redis.url") == url, f"{name}: redis.url is not {url}")


def check_compose(known):
    services = yaml.safe_load(interpolated(read("docker-compose.yml")))["services"]
    port = known["server.port"]
    own = {name: service for name, service in services.items() if name not in SERVERS | OBSERVING}
    expect(sum("build" in service for service in own.values()) == 1, "one service builds the image of all")
    for name, service in own.items():
        check_environment(name, service.get("environment", {}), services, known)
        if "serve" in service.get("command", []):
            grace = seconds(service.get("stop_grace_period", "10s"))
            deadline = known["server.shutdown_deadline_seconds"]
            expect(grace > deadline, f"{name}: stop_grace_period must exceed the {deadline} s of a stop")
            metrics = service["environment"].get("APP__METRICS__HOST")
            expect(metrics == "0.0.0.0", f"{name}: Prometheus does not reach metrics.host")
    check_observing(services, {name for name, service in own.items() if "serve" in service.get("command", [])}, known)
    for name, service in services.items():
        options = service.get("logging", {}).get("options", {})
        expect({"max-size", "max-file"} <= options.keys(), f"{name}: its log grows without end")
        # Engines give 1,024 files, which 1,000 clients use up.
        files = int(service.get("ulimits", {}).get("nofile", 0))
        expect(files > known["live.max_connections"], f"{name}: {files} open files are too few")
        for published in service.get("ports", []):
            expect(str(published).startswith("127.0.0.1:"), f"{name}: {published} is not bound to loopback")
        for other, dependency in service.get("depends_on", {}).items():
            needed = services.get(other, {})
            if dependency["condition"] == "service_healthy":
                expect("healthcheck" in needed, f"{name}: {other} has no health check")
            else:
                expect(needed.get("restart") == "no", f"{name}: {other} must not be restarted")
    expect(any(str(p).endswith(f":{port}") for p in services["api"].get("ports", [])), f"api: port {port} is not published")
    expect(not {"ports", "container_name"} & services["worker"].keys(), "worker: could not be scaled")
    for name in ("api", "worker"):
        expect("doctor" in services[name]["depends_on"], f"{name}: a wrong password would not be said")
    for name, variable in (("mysql", "MYSQL_IMAGE"), ("rabbitmq", "RABBITMQ_IMAGE"), ("redis", "REDIS_IMAGE")):
        release, flavour = re.search(rf'{variable}="{name}:([\d.]+)([^"]*)"', read("deploy/services.sh")).groups()
        pinned = rf"{name}:{re.escape(release)}\.\d+{re.escape(flavour)}"
        image = services[name]["image"]
        expect(re.fullmatch(pinned, image), f"{name}: {image} is no patch release of what deploy/services.sh tests with")


def check_observing(services, serving, known):
    """Prometheus scrapes every process that serves, and each address and file is that of its other end."""
    for name in OBSERVING:
        service = services[name]
        expect(service.get("profiles") == ["observability"], f"{name}: starts without being asked for")
        expect(re.search(r":v?\d+\.\d+\.\d+$", service["image"]), f"{name}: {service['image']} is not pinned")
        for volume in service.get("volumes", []):
            source, _, rest = volume.partition(":")
            if source.startswith("./"):
                expect((TOP / source).is_file(), f"{name}: there is no {source}")
                expect(rest.endswith(":ro"), f"{name}: could write {source}")
    folder = "deploy/observability"
    (job,) = yaml.safe_load(read(f"{folder}/prometheus.yml"))["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    expect(set(found["names"]) == serving, f"prometheus.yml: scrapes {found['names']}, and not {serving}")
    expect(found["port"] == known["metrics.port"], f"prometheus.yml: port {found['port']} is not metrics.port")
    sources = yaml.safe_load(read(f"{folder}/grafana/datasources.yml"))["datasources"]
    ports = {"prometheus": 9090, "jaeger": 16686}
    for source in sources:
        url, kind = urlsplit(source["url"]), source["type"]
        expect((url.hostname, url.port) == (kind, ports[kind]), f"datasources.yml: {source['url']} is no {kind}")
        published = str(services[kind]["ports"])
        expect(f":{url.port}'" in published, f"{kind}: {published} does not lead to {url.port}")
    (path,) = {source["options"]["path"] for source in yaml.safe_load(read(f"{folder}/grafana/dashboards.yml"))["providers"]}
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    mounted = [volume.split(":")[1] for volume in services["grafana"]["volumes"]]
    expect(home in mounted and home.startswith(f"{path}/"), f"grafana: {home} is not what dashboards.yml provides")
    collector = yaml.safe_load(read(f"{folder}/collector.yml"))
    pipeline = collector["service"]["pipelines"]["traces"]
    for kind in ("receivers", "processors", "exporters"):
        expect(set(pipeline[kind]) == collector[kind].keys(), f"collector.yml: traces do not use all {kind}")
    endpoint = collector["exporters"]["otlp"]["endpoint"]
    expect(endpoint == "jaeger:4317", f"collector.yml: {endpoint} is no Jaeger")


def check_env():
    """Whether what a file .env names arrives in `make prod`, whatever a shell would make of it."""
    wanted = {
        "APP__MYSQL__URL": "mysql://u:p%40$w&x;(*)`id`#1\\@db:3306/tickets?ssl-mode=REQUIRED&ssl-ca=/a b.pem",
        "APP__RABBITMQ__URL": "amqp://u:a$$b${HOME}@mq/%2f",
        "APP__ADMIN__TOKEN": "it's~spent!",
        "APP__LOG__FORMAT": "text",
        "PLAIN": "a b",
        "EMPTY": "",
    }
    text = (
        "# a comment\n\n"
        f"APP__MYSQL__URL='{wanted['APP__MYSQL__URL']}' # the first\n"
        f"export APP__RABBITMQ__URL={wanted['APP__RABBITMQ__URL']}\r\n"
        f'APP__ADMIN__TOKEN="{wanted["APP__ADMIN__TOKEN"]}"\n'
        "APP__LOG__FORMAT = text\t# the last\n"
        "PLAIN=a b  \n"
        "EMPTY="
    )
    for given, right in ((text, True), ("TOKEN='a\n", False), ('TOKEN="a$b"\n', False), ("hello\n", False)):
        with tempfile.NamedTemporaryFile("w", suffix=".env", newline="") as file:
            file.write(given)
            file.flush()
            command = f". deploy/read-env.sh && read_env {file.name} && exec env -0"
            done = subprocess.run(["bash", "-euc", command], cwd=TOP, env={"PATH": os.environ["PATH"], "HOME": "/x"},
                                  capture_output=True, text=True, check=False)
        expect((done.returncode == 0) == right, f"deploy/read-env.sh: {given!r}: {done.stderr}")
        if right:
            got = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
            for name, value in wanted.items():
                expect(got.get(name) == value, f"deploy/read-env.sh: {name} arrives as {got.get(name)!r}")


def check_image(known):
    dockerfile = read("deploy/Dockerfile")
    for image in re.findall(r"^FROM (\S+)", dockerfile, re.M):
        expect(re.search(r":\d+\.\d+\.\d+|@sha256:[0-9a-f]{64}$", image), f"deploy/Dockerfile: {image} is not pinned")
    rust = re.search(r"^FROM rust:([\d.]+)", dockerfile, re.M).group(1)
    pinned = tomllib.loads(read("rust-toolchain.toml"))["toolchain"]["channel"]
    expect(rust == pinned, f"deploy/Dockerfile: Rust {rust}, but rust-toolchain.toml has {pinned}")
    needed = tomllib.loads(read("Cargo.toml"))["workspace"]["package"]["rust-version"]
    expect(version(pinned) >= version(needed), f"rust-toolchain.toml: {pinned} is older than rust-version {needed}")
    expect(f"Rust {pinned}" in read("README.md"), f"README.md does not name Rust {pinned}")
    expect(f"\nEXPOSE {known['server.port']}\n" in dockerfile, "deploy/Dockerfile: EXPOSE is not server.port")
    let_in = set(re.findall(r"^!(\S+)", read("deploy/Dockerfile.dockerignore"), re.M))
    for line in re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+)$", dockerfile, re.M):
        for source in line.split()[:-1]:
            expect(source in let_in, f"deploy/Dockerfile.dockerignore: keeps {source} out")
            expect((TOP / source).exists(), f"deploy/Dockerfile: there is no {source}")


def main():
    known = settings()
    check_compose(known)
    check_image(known)
    check_env()
    for fault in faults:
        print(f"check-compose: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
