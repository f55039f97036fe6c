"""Pages of other origins, which browsers let call the service where CORS_ALLOW_ORIGINS names them."""


def test_pages_of_the_origins_named_may_call_and_read_what_they_need(lone):
    client = lone.client()
    origin = {"Origin": "https://app.example.org"}
    preflight = client.options(
        "/v1/extract",
        headers={**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"},
    )
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == origin["Origin"]
    assert preflight.headers["X-Request-ID"]
    for answer in (client.get("/v1/me", headers=origin), client.get("/nowhere", headers=origin)):
        assert answer.headers["Access-Control-Allow-Origin"] == origin["Origin"]
        assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
    other = client.get("/v1/me", headers={"Origin": "https://evil.example.org"})
    assert "Access-Control-Allow-Origin" not in other.headers
