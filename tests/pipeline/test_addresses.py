import pytest

from ocrlty_pipeline.addresses import is_public


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"]
)
def test_an_address_of_the_internet_is_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "addresses",
    [
        "127.0.0.1 127.8.8.8 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1",
        "224.0.0.1 240.0.0.1 0.0.0.0 255.255.255.255 192.0.2.1 198.18.0.1",
        "::1 :: fe80::1 fe80::1%eth0 fc00::1 fd00:ec2::254 fec0::1 ff02::1 2001:db8::1",
        "::ffff:127.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b:1::1",
        "2002:7f00:1:: 2002:101:101:: 2001::1",
    ],
    ids=["private", "reserved", "IPv6", "embedded", "tunnels"],
)
def test_every_other_kind_of_address_is_not_whatever_it_is_wrapped_in(addresses):
    assert [address for address in addresses.split() if is_public(address)] == []
