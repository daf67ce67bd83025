import http.client
import os
import socket
import threading

import pytest
from report.runs import record, write_lines, write_run

from ganforge.errors import ConfigError
from ganforge.report.server import report_server


@pytest.fixture
def server(tmp_path):
    with report_server([write_run(tmp_path / "run", lines=[])], 0) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield running
        running.shutdown()


def get(server, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_server_shows_what_the_folder_holds_now(server):
    assert "no log records" in get(server, "/")[1]
    write_lines(server.runs[0] / "log.jsonl", [record(3.0)])
    status, text = get(server, "/")
    assert status == 200
    assert "3 of 4 kimg" in text


def test_server_stamp_changes_with_the_log_and_is_that_of_the_page(server):
    before = get(server, "/stamp")[1]
    assert before in get(server, "/")[1]
    assert get(server, "/stamp")[1] == before
    os.utime(server.runs[0] / "log.jsonl", (1, 1))
    assert get(server, "/stamp")[1] != before


def test_server_listens_on_loopback_only(server):
    assert server.server_address[0] == "127.0.0.1"


def test_server_refuses_other_paths_and_foreign_names(server):
    assert get(server, "/config.yaml")[0] == 404
    assert get(server, "/../config.yaml")[0] == 404
    assert get(server, "/", Host="example.org:80")[0] == 403


def test_server_of_a_folder_that_is_gone_says_so(server):
    (server.runs[0] / "config.yaml").unlink()
    (server.runs[0] / "log.jsonl").unlink()
    status, text = get(server, "/")
    assert status == 500
    assert "is not the folder of a run" in text


def test_report_server_on_a_port_in_use_says_which():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port}.*--port"):
            report_server([], port)
