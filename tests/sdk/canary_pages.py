"""Pages that try every way out of a browser that is known, and say in their title when they are done."""

import http.server
import urllib.parse

from canaries import OUT, PRIVATE, PRIVATE_PORT, SITE_PORT

# By pages of any origin. `at` is host and port, `n` a number that makes each name a new one.
WAYS = """
const ways = {
  fetch: at => fetch(`http://${at}/fetch`),
  secure: at => fetch(`https://${at}/secure`),
  keepalive: at => fetch(`http://${at}/keepalive`, {keepalive: true, mode: "no-cors"}),
  request: at => { const r = new XMLHttpRequest(); r.open("GET", `http://${at}/xhr`); r.send(); },
  beacon: at => navigator.sendBeacon(`http://${at}/beacon`, "x"),
  socket: at => new WebSocket(`ws://${at}/socket`),
  secureSocket: at => new WebSocket(`wss://${at}/socket`),
  stream: at => new EventSource(`http://${at}/stream`),
  redirect: at => fetch(`/redirect?to=${encodeURIComponent(`http://${at}/redirected`)}`, {mode: "no-cors"}),
  picture: at => { new Image().src = `http://${at}/picture`; },
  module: at => import(`http://${at}/module.js`),
  worker: at => new Worker(URL.createObjectURL(new Blob([`importScripts("http://${at}/w.js");`]))),
  workerFetch: at => new Worker(URL.createObjectURL(new Blob([`fetch("http://${at}/wf"); new WebSocket("ws://${at}/ws")`]))),
  shared: at => new SharedWorker(URL.createObjectURL(new Blob([`fetch("http://${at}/sw")`]))),
  font: at => new FontFace("f", `url(http://${at}/font)`).load(),
  elements: at => add(`
    <iframe src="http://${at}/frame"></iframe><script src="http://${at}/script.js"></scr` + `ipt>
    <link rel=stylesheet href="http://${at}/style"><link rel=preload as=image href="http://${at}/preload">
    <link rel=prefetch href="http://${at}/prefetch"><link rel=prerender href="http://${at}/prerender">
    <link rel=dns-prefetch href="//${at}"><link rel=preconnect href="https://${at}"><link rel=modulepreload href="http://${at}/mp">
    <link rel=icon href="http://${at}/icon"><link rel=manifest href="http://${at}/manifest">
    <object data="http://${at}/object"></object><embed src="http://${at}/embed"><video src="http://${at}/video" autoplay></video>
    <audio src="http://${at}/audio" autoplay></audio><video poster="http://${at}/poster"></video>
    <svg><image href="http://${at}/svg"></image><use href="http://${at}/use#a"></use></svg>
    <iframe srcdoc='<meta http-equiv=refresh content="0;url=http://${at}/refresh">'></iframe>
    <iframe srcdoc='<form action="http://${at}/form" method=post></form><script>document.forms[0].submit()</scr` + `ipt>'></iframe>
    <div style="background:url(http://${at}/background)">x</div><a id=ping ping="http://${at}/ping" href="#x">x</a>
    <iframe name=into></iframe><a target=into download href="http://${at}/download">x</a><img srcset="http://${at}/srcset 2x">
    <script type=speculationrules>{"prefetch": [{"source": "list", "urls": ["http://${at}/speculated"]}],
      "prerender": [{"source": "list", "urls": ["http://${at}/prerendered"]}]}</scr` + `ipt>`),
  peer: at => {
    const host = at.replace(/:\\d+$/, "");
    const urls = [`stun:${at}`, `turn:${host}:3478?transport=udp`, `turn:${host}:3479?transport=tcp`, `turns:${host}:5349`];
    const peer = new RTCPeerConnection({iceServers: urls.map(url => ({urls: url, username: "u", credential: "c"}))});
    peer.createDataChannel("d");
    peer.createOffer().then(offer => peer.setLocalDescription(offer));
  },
  transport: at => new WebTransport(`https://${at}/transport`),
  service: () => navigator.serviceWorker.register("/service.js"),
  open: at => window.open(`http://${at}/opened`),
};
const add = html => {
  const part = document.createElement("div");
  part.innerHTML = html;
  document.body.append(part);
  for (const old of part.querySelectorAll("script")) {
    const made = document.createElement("script");
    for (const {name, value} of old.attributes) made.setAttribute(name, value);
    made.textContent = old.textContent;
    old.replaceWith(made);
  }
  for (const link of part.querySelectorAll("a")) link.click();
};
(async () => {
  for (const [place, at] of targets.entries()) {
    for (const [name, way] of Object.entries(ways)) {
      if (name === "open" && place > 2) continue;
      try { Promise.resolve(way(at)).catch(() => {}); } catch {}
    }
    await new Promise(done => setTimeout(done, 150));
  }
  await new Promise(done => setTimeout(done, 1500));
  document.title = "all tried";
})();
"""
SERVICE = """
addEventListener("install", () => skipWaiting());
addEventListener("activate", event => event.waitUntil(Promise.allSettled(TARGETS.map(at => fetch(`http://${at}/service`)))));
"""
NAMES = [f"leak-{number}.example.com:{PRIVATE_PORT}" for number in range(3)]
TARGETS = [f"{host}:{PRIVATE_PORT}" for host in PRIVATE] + NAMES + ["93.184.215.14:8282"]


class Pages(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/redirect":
            return self.answer("", {"Location": urllib.parse.parse_qs(url.query)["to"][0]}, 302)
        if url.path == "/service.js":
            return self.answer(SERVICE.replace("TARGETS", str(TARGETS)), {"Content-Type": "text/javascript"})
        if url.path == "/ways":
            policy = f"img-src *; report-uri http://{PRIVATE[0]}:{PRIVATE_PORT}/report"
            page = f"<!doctype html><title>trying</title><body><script>const targets = {TARGETS};{WAYS}</script>"
            return self.answer(page, {"Content-Security-Policy-Report-Only": policy})
        return self.answer(f"<title>{url.path}</title>")

    def answer(self, text, headers=None, status=200):
        body = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "text/html; charset=utf-8", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


SITE = f"http://{OUT}:{SITE_PORT}"
