"""A host with real WordPress sites behind the emulated API: real files, real databases, real pages.

Everything comes from Debian's packages `wordpress`, `mariadb-server`, `php-cli`, `php-mysql` and `php-xml`. Servers listen on a
socket (MariaDB) and on loopback (PHP's own web server), and end with the host.
"""

import contextlib
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deployments.sandbox.host import simulated_work
from deployments.sandbox.host.host import API_HOSTS, Host
from deployments.sandbox.host.http_messages import Request, Response
from tests.drills.wordpress.servers import WORDPRESS, free_port, run, running, wait_for

HERE = Path(__file__).parent
HOP_BY_HOP = ("connection", "transfer-encoding", "content-length", "keep-alive", "content-encoding", "host", "date")
CONFIG = """<?php
define('DB_NAME', '%s'); define('DB_USER', 'root'); define('DB_PASSWORD', ''); define('DB_HOST', 'localhost:%s');
define('DB_CHARSET', 'utf8mb4'); define('DISABLE_WP_CRON', true); define('WP_HTTP_BLOCK_EXTERNAL', true);
define('AUTOMATIC_UPDATER_DISABLED', true); define('WP_DEBUG', false);
foreach (['AUTH_KEY', 'SECURE_AUTH_KEY', 'LOGGED_IN_KEY', 'NONCE_KEY', 'AUTH_SALT', 'SECURE_AUTH_SALT',
          'LOGGED_IN_SALT', 'NONCE_SALT'] as $name) { define($name, 'of the drill, ' . $name); }
$table_prefix = 'wp_';
if (!defined('ABSPATH')) { define('ABSPATH', __DIR__ . '/'); }
require_once ABSPATH . 'wp-settings.php';
"""


@dataclass(frozen=True)
class Site:
    """One installed WordPress: its install's name, its domain, its files, its database and the port that serves it."""

    name: str
    domain: str
    root: Path
    port: int

    @property
    def content(self) -> Path:
        """What a copy of files carries."""
        return self.root / "wp-content"


@dataclass(frozen=True)
class Looks:
    """What kind of site it is. `lacks`: plugins whose files are not there. `password`: user:password of Basic authentication."""

    theme: str = "twentytwentythree"
    permalinks: str = "pretty"
    plugins: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    posts: int = 4
    public: bool = True
    password: str = ""


class Sites:
    """The real sites of the host, and what the host does with them."""

    def __init__(self, folder: Path, servers: contextlib.ExitStack, socket_file: Path) -> None:
        self._folder, self._servers, self.socket = folder, servers, socket_file
        self.by_name: dict[str, Site] = {}

    def _client(self, *arguments: str) -> list[str]:
        return ["mariadb", "--no-defaults", f"--socket={self.socket}", "-uroot", *arguments]

    def add(self, name: str, domain: str, looks: Looks) -> Site:
        """Install a WordPress and serve it."""
        root, port = self._folder / name, free_port()
        shutil.copytree(WORDPRESS, root, ignore=shutil.ignore_patterns("wp-config.php", "languages"))
        shutil.copytree(HERE / "content", root / "wp-content", dirs_exist_ok=True)
        for plugin in looks.lacks:
            shutil.rmtree(root / "wp-content" / "plugins" / plugin)
        (root / "wp-config.php").write_text(CONFIG % (name, self.socket))
        run(self._client("-e", f"DROP DATABASE IF EXISTS `{name}`; CREATE DATABASE `{name}` CHARACTER SET utf8mb4"))
        site_facts = {"url": f"http://{domain}", "title": f"The site of {name}", **vars(looks)}
        run(["php", str(HERE / "php" / "install.php"), str(root), json.dumps(site_facts)])
        self._servers.enter_context(
            running(
                ["php", "-S", f"127.0.0.1:{port}", "-t", str(root), str(HERE / "php" / "router.php")],
                self._folder / f"{name}.log",
                PHP_CLI_SERVER_WORKERS="3",
            )
        )
        site = self.by_name[name] = Site(name, domain, root, port)
        if looks.password:
            (root / "site-password").write_text(looks.password)
        wait_for(lambda: httpx.get(f"http://127.0.0.1:{port}/", headers={"Host": domain}, trust_env=False))
        return site

    def dump(self, name: str, *tables: str) -> bytes:
        """The database of a site as SQL."""
        return run(["mariadb-dump", "--no-defaults", f"--socket={self.socket}", "-uroot", name, *tables]).encode()

    def load(self, name: str, dump: bytes) -> None:
        """Put a dump over the database of a site."""
        run(self._client(name), given=dump)

    def ask(self, name: str, query: str) -> str:
        """Return the result of a query on the database of a site, as text."""
        return run(self._client("-N", "-B", name, "-e", query)).strip()

    def publish(self, name: str, title: str) -> None:
        """Publish a post on a site."""
        run(["php", str(HERE / "php" / "publish.php"), str(self.by_name[name].root), title])

    def release(self, name: str, version: str) -> None:
        """Put a new version of every stylesheet and script of the site's themes and plugins on its disk."""
        for file in self.by_name[name].content.rglob("*"):
            if file.suffix in (".css", ".js"):
                file.write_text(file.read_text() + f"\n/* release {version} */\n")

    def titles(self, name: str) -> list[str]:
        """The titles of the published posts, in the order of their ids."""
        published = "SELECT post_title FROM wp_posts WHERE post_status = 'publish' AND post_type = 'post' ORDER BY ID"
        return self.ask(name, published).split("\n")

    def released(self, name: str) -> str:
        """The last line of the theme's stylesheet that names a release, or an empty string."""
        theme = self.ask(name, "SELECT option_value FROM wp_options WHERE option_name = 'stylesheet'")
        lines = (self.by_name[name].content / "themes" / theme / "style.css").read_text().split("\n")
        return next((line for line in reversed(lines) if "release" in line), "")

    def home(self, name: str) -> str:
        """The option `home`."""
        return self.ask(name, "SELECT option_value FROM wp_options WHERE option_name = 'home'")

    def copy_files(self, source: Path, destination: Path) -> None:
        """Replace one wp-content by another."""
        shutil.rmtree(destination)
        shutil.copytree(source, destination)

    def replace(self, name: str, old: str, new: str, *tables: str) -> None:
        """Replace a domain in the URLs of a site's database, JSON-escaped ones too, guid left alone."""
        for slashes in ("//", r"\/\/"):
            self.search_replace(name, slashes + old, slashes + new, *tables)

    def search_replace(self, name: str, old: str, new: str, *tables: str) -> None:
        """Replace a text in the database of a site, guid left alone, as `wp search-replace --skip-columns=guid` does."""
        run(["php", str(HERE / "php" / "replace.php"), str(self.socket), name, old, new, *tables])

    def size(self, name: str) -> dict[str, str]:
        """What the host measures of a site."""
        files = sum(path.stat().st_size for path in self.by_name[name].content.rglob("*") if path.is_file())
        what = "SELECT coalesce(sum(data_length + index_length), 0), count(*)"
        found = self.ask(name, f"{what} FROM information_schema.tables WHERE table_schema = '{name}'").split()
        return {
            "storage_file_bytes": str(files),
            "storage_database_bytes": found[0],
            "database_tables_count": found[1],
        }


class RealHost(Host):
    """The emulated API in front of real sites. `replacing`: `whole`, `none` or `half` of a copied database's URLs."""

    def __init__(self, sites: Sites, folder: Path, *, scale: float) -> None:
        super().__init__(":memory:", scale=scale)
        self.sites, self.replacing = sites, "whole"
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._cache: dict[tuple[str, str], Response] = {}
        self._http = httpx.Client(trust_env=False, follow_redirects=False, timeout=30)

    def close(self) -> None:
        """Close the state and the connections to the sites."""
        self._http.close()
        super().close()

    def handle(self, request: Request) -> Response:
        """The API as emulated; a page by the real site, outside the emulator's lock."""
        if request.host in API_HOSTS:
            return super().handle(request)
        with self.store.lock:
            simulated_work.advance(self)
            named = next((d for d in self.store.all("domains") if d["name"] == request.host), None)
            install = self.store.get("installs", named["install_id"]) if named else None
        site = self.sites.by_name.get(install["name"]) if install and install["status"] == "active" else None
        return self._page(install, site, request) if install and site else Response(404, {}, b"No such site")

    def _page(self, install: dict[str, Any], site: Site, request: Request) -> Response:
        """A page from the cache, which a purge empties, or made by the site. What asks for a login is never kept."""
        key = f"{request.host}{request.path}"
        cacheable = request.method == "GET" and not request.query and "authorization" not in request.headers
        kept = install["cached"].get(key) if cacheable else None
        if kept:
            page, age = self._cache[install["id"], key], int((time.time() - kept["at"]) / self.scale)
            return Response(page.status, page.headers | {"x-cache": "HIT", "age": str(age)}, page.body)
        made_at, page = time.time(), self._made(site, request)
        if cacheable and page.status == 200:
            self._keep(install["id"], key, made_at, page)
        return page

    def _made(self, site: Site, request: Request) -> Response:
        query = "?" + str(httpx.QueryParams(request.query)) if request.query else ""
        not_ours = ("connection", "content-length", "accept-encoding")
        answer = self._http.request(
            request.method,
            f"http://127.0.0.1:{site.port}{request.path}{query}",
            headers={k: v for k, v in request.headers.items() if k not in not_ours} | {"host": request.host},
            content=request.body,
        )
        kept_headers = {k: v for k, v in answer.headers.items() if k not in HOP_BY_HOP}
        return Response(answer.status_code, kept_headers | {"x-cache": "MISS", "age": "0"}, answer.content)

    def _keep(self, install_id: str, key: str, made_at: float, page: Response) -> None:
        with self.store.lock:
            install = self.store.get("installs", install_id) or {}
            install["cached"][key] = {"at": made_at}
            self._cache[install_id, key] = page
            self.store.put("installs", install)

    # What the host does in its own time: called by the emulator's work when each is due.

    def end_backup(self, estate: Host, job: dict[str, Any]) -> None:
        """Keep files and database of the install as they are now."""
        simulated_work._end_backup(estate, job)
        backup = self.store.get("backups", job["backup"]) or {}
        name = (self.store.get("installs", backup["install_id"]) or {})["name"]
        folder = self._folder / backup["id"]
        shutil.copytree(self.sites.by_name[name].content, folder / "content")
        (folder / "dump.sql").write_bytes(self.sites.dump(name))

    def land_copy(self, estate: Host, job: dict[str, Any]) -> None:
        """Copy files, tables or the whole database, and replace URLs according to `replacing`."""
        source, destination = (self._site(job[side]) for side in ("source", "destination"))
        options = job["options"]
        if options["include_files"]:
            self.sites.copy_files(source.content, destination.content)
        if options["include_db"]:
            tables = options.get("db_tables") or []
            self.sites.load(destination.name, self.sites.dump(source.name, *tables))
            if self.replacing != "none":
                only = ["wp_options"] if self.replacing == "half" else tables
                self.sites.replace(destination.name, source.domain, destination.domain, *only)
        simulated_work._land_copy(estate, job)

    def land_restore(self, estate: Host, job: dict[str, Any]) -> None:
        """Put the files, and by default the database, of a backup back."""
        site, folder = self._site(job["destination"]), self._folder / job["backup"]
        self.sites.copy_files(folder / "content", site.content)
        if job["options"]["restore_database"]:
            self.sites.load(site.name, (folder / "dump.sql").read_bytes())
        simulated_work._land_restore(estate, job)

    def activate(self, estate: Host, job: dict[str, Any]) -> None:
        """A new install is a fresh WordPress on its own domain."""
        simulated_work._activate(estate, job)
        install = self.store.get("installs", job["install"]) or {}
        self.sites.add(install["name"], install["primary_domain"], Looks(posts=0, public=False))

    def measure(self, estate: Host, job: dict[str, Any]) -> None:
        """The real sizes."""
        simulated_work._measure(estate, job)
        install = self.store.get("installs", job["install"]) or {}
        if install["name"] in self.sites.by_name:
            install["measured"] = install["measured"] | self.sites.size(install["name"])
            self.store.put("installs", install)

    def _site(self, install_id: str) -> Site:
        return self.sites.by_name[(self.store.get("installs", install_id) or {})["name"]]
