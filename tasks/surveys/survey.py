"""Take a survey of one install: identity, domains, certificates, storage and public content."""

from collections.abc import Callable
from typing import TypeVar

from tasks.capi.client import Client
from tasks.capi.models import Installation
from tasks.capi.models import Site as HostSite
from tasks.estate.errors import NotFound, Refused
from tasks.estate.polling import utc_now
from tasks.estate.sites import CertificateFact, Content, DomainName, Environment, Install, Storage, Survey
from tasks.websites.appearance import appearance_of
from tasks.websites.wordpress_site import Prober

T = TypeVar("T")


def id_of(client: Client, name: str) -> str:
    """Return the id of the install of exactly this name. Raises `NotFound`."""
    for install in client.installs():
        if install.name == name:
            return install.id
    raise NotFound(f"No install is named {name!r} among those this API user may see.", install=name)


def to_install(seen: Installation, sites: list[HostSite] | None = None) -> Install:
    """Convert the host's installation. An absent or unknown status becomes "unknown", never "active"."""
    site_id = seen.site.id if seen.site else None
    title = next((site.name for site in sites or [] if site.id == site_id), None)
    known = {member.value for member in Environment}
    return Install(
        id=seen.id,
        name=seen.name,
        account_id=seen.account.id if seen.account else "",
        site_id=site_id,
        site_name=title,
        environment=Environment(seen.environment) if seen.environment in known else Environment.UNKNOWN,
        status=seen.status if seen.status in ("active", "pending") else "unknown",
        primary_domain=seen.primary_domain,
        php_version=seen.php_version,
        wp_version=seen.wp_version,
        multisite=seen.is_multisite,
    )


def survey_install(client: Client, prober: Prober, install_id: str) -> Survey:
    """Survey one install. What the host refuses becomes a gap; `Transient` is raised, so that the step retries."""
    seen = client.install(install_id)
    install = to_install(seen)
    gaps: list[str] = []
    domains = _or_gap(gaps, "domains", lambda: _domains(client, install_id))
    certificates = _or_gap(gaps, "certificates", lambda: _certificates(client, install_id))
    storage = _or_gap(gaps, "storage", lambda: measured(client, install_id))
    names = [domain.name for domain in domains or ()]
    prober.add_domains(install.name, [*names, install.primary_domain])
    content = public_content(prober, install)
    if not content.reachable:
        gaps.append(f"public content: {content.detail}")
    return Survey(
        install=install,
        domains=domains,
        certificates=certificates,
        storage=storage,
        content=content,
        taken_at=utc_now(),
        gaps=tuple(gaps),
    )


def with_appearance(prober: Prober, survey: Survey) -> Survey:
    """Add how the install appears, so that the checks after a copy blame it only for what it changed."""
    primary = survey.install.primary_domain
    if primary is None:
        return survey
    front, robots = prober.visit(primary, fresh=True), prober.page(primary, "/robots.txt", fresh=True)
    return survey.model_copy(update={"appearance": appearance_of(front, robots)})


def _or_gap(gaps: list[str], what: str, look: Callable[[], T]) -> T | None:
    try:
        return look()
    except Refused as refusal:
        gaps.append(f"{what}: {refusal.message}")
        return None


def public_content(prober: Prober, install: Install) -> Content:
    """Return the public content with asset versions; unreachable if the install has no primary domain."""
    if install.primary_domain is None:
        return Content(reachable=False, detail="the install has no primary domain")
    primary = install.primary_domain
    prober.add_domains(
        install.name, [primary, *prober.own_names(primary).own.hosts]
    )  # a retry or a later step has a new prober
    seen = prober.content(primary)
    return seen.model_copy(update={"files_marker": prober.files_marker(primary), "assets": prober.assets(primary)})


def measured(client: Client, install_id: str) -> Storage:
    """Return the host's newest measurement. Its time is `storage_update_time`, not `date`."""
    usage = client.usage(install_id)
    for day in usage.metrics:
        if day.storage_update_time is not None:
            return Storage(
                file_bytes=day.storage_file_bytes,
                database_bytes=day.storage_database_bytes,
                tables=day.database_tables_count,
                measured_at=day.storage_update_time,
            )
    raise NotFound(f"The host has no storage measurement for install {install_id}.")


def _domains(client: Client, install_id: str) -> tuple[DomainName, ...]:
    names = []
    for seen in client.domains(install_id):
        network = seen.network_details.network_info if seen.network_details else None
        dns = seen.network_details.dns_config_info if seen.network_details else None
        names.append(
            DomainName(
                name=seen.name,
                primary=bool(seen.primary),
                verified=None if seen.ownership_status is None else seen.ownership_status == "TXT_VERIFIED",
                redirects_to=seen.redirect_target,
                points_to=tuple(filter(None, (dns.cname, *(dns.a_records or ())))) if dns else (),
                tls=network.ssl.status if network and network.ssl else None,
            )
        )
    return tuple(names)


def _certificates(client: Client, install_id: str) -> tuple[CertificateFact, ...]:
    return tuple(
        CertificateFact(
            common_name=c.common_name or "",
            status=c.status or "unknown",
            expires_at=c.expires_time,
            domains=c.domains or (),
        )
        for c in client.certificates(install_id)
    )
