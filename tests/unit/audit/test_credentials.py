import pytest

from alerts.audit import credentials

SECRET = "S3CRET+value/99="


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: ApiKey {}",
        "authorization:Negotiate {}",
        "Authorization: an-unknown-scheme {}",
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=host, Signature={}",
        "curl/8 Authorization: Basic {}",
        'with {{"Authorization": "Basic {}"}} in it',
        "Bearer abc12345{}",
        "Cookie: session={}",
        "X-Vault-Token: {}",
        "PRIVATE-TOKEN: {}",
        '{{"token":"{}"}}',
        '{{\\"password\\":\\"{}\\"}}',
        "password: {}",
        "GITHUB_TOKEN={}",
        "export AWS_SECRET_ACCESS_KEY={}",
        "DB_PASSWORD={} MY_API_KEY={}",
        "refresh_token={}&limit=5",
        "kubeadm join --token {}",
        "--client-secret '{}'",
        "exec?command=kubeadm&command=--token&command={}",
        "exec?command=sh&command=-c&command=VAULT_TOKEN%3D{}+vault+read",
        "exec?command=-H&command=Authorization%3A+ApiKey+{}",
        "exec?command=--header%3D%22Authorization%22%3A%22Basic+{}%22",
        "exec?command=-H&command=%41uthorization%3A+Basic+{}",
        "authorization%253A%20Bearer%20{}",
        "https://jane:S3CRET@example.org/",
        "curl -u admin:{} https://example.org",
        "curl --user 'admin:{}'",
        "exec?command=curl&command=-u&command=admin%3A{}",
        "exec?command=curl&command=--user&command=admin:{}",
        "MYSQL_PWD={} mysql",
        "DB_PASS={}",
        "exec?command=sh&command=-c&command=MYSQL_PWD%3D{}+mysql",
        "    client-key-data: {}",
        "ENCRYPTION_KEY={}",
        '{{\\"auths\\":{{\\"r.io\\":{{\\"auth\\":\\"{}\\"}}}}}}',
        "/proxy/x?X-Amz-Signature={}",
        "/proxy/x?sv=2020&sig={}",
    ],
)
def test_credentials_are_hidden_in_any_text_and_the_rest_of_it_stays(text: str) -> None:
    hidden = credentials.hide(text.format(SECRET, SECRET))
    assert "S3CRET" not in hidden
    assert hidden[:3] == text.format("", "")[:3]
    assert credentials.HIDDEN in hidden
    assert credentials.hide(hidden) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "system:serviceaccount:my-secret:db",
        "system:serviceaccount:authorization:cookie",
        "system:node:token-1",
        'cannot create resource "serviceaccounts/token" in API group ""',
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "/api/v1/secrets?limit=500&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEi",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles?fieldManager=a%2Fb%20c",
        'RBAC: allowed by ClusterRoleBinding "token-reader" of ClusterRole "secret-reader" to User "jane"',
        "the bearer authentication plugin",
        "The cluster does not accept the token: it expired or was withdrawn.",
        "invalid token: signature.",
        "http://[::1]:8080/a@b",
        "docker-compose up -u",
        "python -u http://[::1]:8080/a",
        "bypass=true, a compass: north",
        '{"auth": "basic"}',
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert credentials.hide(text) == text


@pytest.mark.parametrize(
    "part",
    ["a", "-", "a_b.c-", "token ", "token:", "--token ", "--token", "://a:b", "eyJ", "%25", "cookie  ", "bearer+",
     "bearer%20", "Authorization:", "-----BEGIN ", "token\\", 'secret"', "-u", "-u ", "-u+", "-u=", "-u a:",
     "-u%20", "&sig=", '"auth"', "\\", '"auth":"a'],
)  # fmt: skip
def test_long_texts_take_no_longer_than_they_are(part: str) -> None:
    """A pattern that looked through them again for each of their parts would never end."""
    credentials.hide(part * 20_000)
    credentials.hide(part + " " * 200_000)


@pytest.mark.parametrize(
    "name", ["token", "accessToken", "bearer_token", "X-Vault-Token", "privateKey", "clientSecret", "set-cookie"]
)
def test_a_field_is_known_by_how_its_name_ends(name: str) -> None:
    assert credentials.is_name(name)


@pytest.mark.parametrize("name", ["tokens", "secretName", "resourceNames", "tokenExpirationSeconds", "rules"])
def test_other_fields_are_none(name: str) -> None:
    assert not credentials.is_name(name)
