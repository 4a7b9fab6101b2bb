"""Where content lies on web servers."""

from __future__ import annotations

import pytest

from holdfast.core.errors import PolicyError
from holdfast.core.key import Key
from holdfast.stores.addresses import AddressRule
from holdfast.stores.http_urls import safe_url
from holdfast.stores.ssh_command import SshAddress, parse_ssh_address, sftp_argv, ssh_argv
from holdfast.wire import remote_urls

KEY = Key(b"SHA256E-s31390--f50d7ac4c6b9031379986bc362fcefb65f1e52621ce1708d537e740fefc59cc0.mp3")
ODD = Key(b"WORM-s3-m1--we%ird,38x")


def test_a_work_tree_has_mixed_directories_first() -> None:
    name = KEY.decode()
    assert remote_urls.annex_object_urls("https://h/r/.git/", KEY) == [
        f"https://h/r/.git/annex/objects/7P/x0/{name}/{name}",
        f"https://h/r/.git/annex/objects/fe0/9b4/{name}/{name}",
    ]


def test_a_bare_repository_has_lower_directories_first() -> None:
    first, second = remote_urls.annex_object_urls("https://h/r.git", KEY, bare=True)
    assert "/fe0/9b4/" in first
    assert "/7P/x0/" in second


def test_each_odd_character_of_a_key_is_percent_encoded() -> None:
    url = remote_urls.annex_object_urls("https://h/r.git", ODD)[0]
    assert url.endswith("/WORM-s3-m1--we%26sird%2C38x/WORM-s3-m1--we%26sird%2C38x")


def test_httpalso_tries_seven_layouts_in_order() -> None:
    name = KEY.decode()
    assert remote_urls.http_also_urls("https://h/s", KEY) == [
        f"https://h/s/fe0/9b4/{name}/{name}",
        f"https://h/s/7P/x0/{name}/{name}",
        f"https://h/s/{name}",
        f"https://h/s/fe0/9b4/{name}",
        f"https://h/s/7P/x0/{name}",
        f"https://h/s/fe0/{name}",
        f"https://h/s/7P/{name}",
    ]


OPENNEURO = {
    "type": "S3",
    "publicurl": "https://s3.amazonaws.com/openneuro.org",
    "fileprefix": "ds000001/",
    "exporttree": "yes",
    "versioning": "yes",
}


def test_a_versioned_bucket_is_read_by_version() -> None:
    urls = remote_urls.s3_public_urls(
        OPENNEURO, KEY, versions=[b"Ab.3_x#ds000001/sub-01/anat/a b.nii.gz"]
    )
    assert urls == [
        "https://s3.amazonaws.com/openneuro.org/ds000001/sub-01/anat/a%20b.nii.gz?versionId=Ab.3_x"
    ]


def test_a_bucket_without_versions_is_read_by_path() -> None:
    urls = remote_urls.s3_public_urls(OPENNEURO, KEY, paths=[b"sub-01/x#1.nii"])
    assert urls == ["https://s3.amazonaws.com/openneuro.org/ds000001/sub-01/x%231.nii"]


def test_a_bucket_that_is_no_export_is_read_by_key() -> None:
    config = {"publicurl": "https://h/b/", "fileprefix": "p/"}
    assert remote_urls.s3_public_urls(config, ODD) == ["https://h/b/p/WORM-s3-m1--we%25ird%2C38x"]


@pytest.mark.parametrize(
    ("config", "base"),
    [
        ({"bucket": "b", "public": "yes"}, "https://b.s3.amazonaws.com"),
        ({"bucket": "b.c", "public": "yes"}, "https://s3.amazonaws.com/b.c"),
        (
            {"bucket": "b", "public": "yes", "host": "h", "requeststyle": "path"},
            "https://h/b",
        ),
        ({"bucket": "b"}, None),
    ],
)
def test_a_public_bucket_has_a_url_of_its_own(config: dict[str, str], base: str | None) -> None:
    assert remote_urls.s3_public_url(config) == base


@pytest.mark.parametrize("raw", [b"", b"x", b"#x", b"x#"])
def test_what_is_no_version_is_passed_over(raw: bytes) -> None:
    assert remote_urls.parse_s3_version(raw) is None


def test_three_slashes_are_the_collection_of_datalad() -> None:
    top = "https://datasets.datalad.org"
    assert remote_urls.datalad_url("///openfmri/ds1") == f"{top}/openfmri/ds1"
    assert remote_urls.datalad_url("///") == top
    assert remote_urls.datalad_url("//x/y") is None


def test_a_git_configuration_tells_of_its_repository() -> None:
    text = '[core]\n\tbare = false\n[annex "x"]\n\ty = 1\n[annex]\n\tuuid = abc # not cut\n'
    assert remote_urls.parse_remote_config(text.replace(" # not cut", "")) == (
        remote_urls.RemoteConfig("abc", False, None)  # type: ignore[arg-type]
    )
    assert remote_urls.parse_remote_config("<!doctype html><p>no</p>") is None
    assert remote_urls.parse_remote_config("") is None


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ssh://me@h:2222/a/b", SshAddress("h", "/a/b", "me", 2222)),
        ("ssh://h/~/b", SshAddress("h", "/~/b")),
        ("me@h:/a b", SshAddress("h", "/a b", "me")),
        ("h:b/c", SshAddress("h", "/~/b/c")),
        ("h:~you/c", SshAddress("h", "/~you/c")),
        ("[h:99]:/a", SshAddress("h", "/a", None, 99)),
        ("me@[h:99]:/a", SshAddress("h", "/a", "me", 99)),
        ("[::1]:/a", SshAddress("::1", "/a")),
    ],
)
def test_ssh_addresses_are_read_as_git_does(url: str, address: SshAddress) -> None:
    assert parse_ssh_address(url) == address


@pytest.mark.parametrize(
    "url", ["ssh://-oProxyCommand=x/a", "-oProxyCommand=x:/a", "ssh://h", "https://h/a", "h:"]
)
def test_what_ssh_would_misread_is_refused(url: str) -> None:
    with pytest.raises(PolicyError):
        parse_ssh_address(url)


def test_words_for_the_other_side_are_quoted() -> None:
    argv = ssh_argv(SshAddress("h", "/a", "me", 22), ["git-annex-shell", "p2pstdio", "/it's; x"])
    assert argv == ["ssh", "-p", "22", "me@h", "git-annex-shell 'p2pstdio' '/it'\"'\"'s; x'"]


def test_sftp_is_asked_for_as_a_subsystem() -> None:
    address = SshAddress("h", "/a", "me", 22)
    assert sftp_argv(address) == ["ssh", "-p", "22", "-s", "me@h", "sftp"]
    assert sftp_argv(address, options=["-i", "k"])[:3] == ["ssh", "-i", "k"]
    assert sftp_argv(address, shell_command="ssh -i k")[2:] == [
        'ssh -i k "$@"', "ssh -i k", "-p", "22", "-s", "me@h", "sftp"
    ]  # fmt: skip


def test_a_path_cannot_pass_for_a_command() -> None:
    argv = ssh_argv(SshAddress("h", "/a"), ["git-annex-shell", "configlist", "git-annex-x; y"])
    assert argv[-1].endswith("'git-annex-x; y'")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "::1", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "64:ff9b::a00:1", "224.0.0.1", "nonsense",
    ],
)  # fmt: skip
def test_private_addresses_are_refused_until_allowed(address: str) -> None:
    assert not AddressRule("").allows(address, 80)
    assert AddressRule("all").allows(address, 80)


def test_public_addresses_and_listed_ones_are_allowed() -> None:
    assert AddressRule("").allows("93.184.216.34", 80)
    assert AddressRule("").allows("2606:2800:220:1::1", 443)
    rule = AddressRule("10.0.0.0/8 [127.0.0.1]:8080 ::1")
    assert rule.allows("10.9.9.9", 1)
    assert rule.allows("127.0.0.1", 8080)
    assert not rule.allows("127.0.0.1", 80)
    assert rule.allows("::1", 80)
    assert not rule.allows("192.168.0.1", 80)


def test_urls_are_shown_without_secrets() -> None:
    assert safe_url("https://me:pw@h:1/a?token=x#y") == "https://h:1/a?…"
