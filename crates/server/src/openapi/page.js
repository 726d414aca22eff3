// Shows the document of this server. Addresses are relative: a proxy may serve the page below a path of its own.
"use strict";

const METHODS = ["get", "put", "post", "patch", "delete"];

// The errors of a route look all the same: they are told in one line, with one sample.
function shortenErrors(operation) {
  const errors = Object.keys(operation.responses).filter((status) => Number(status) >= 400).sort();
  if (errors.length < 2) {
    return;
  }
  const lines = errors.map((status) => `- ${status}: ${operation.responses[status].description}`);
  const sample = operation.responses[errors[0]];
  for (const status of errors) {
    delete operation.responses[status];
  }
  operation.responses.default = { description: lines.join("\n"), content: sample.content };
}

function sayWhenNoKeyIsNeeded(operation) {
  const needsNone = (operation.security ?? []).some((way) => Object.keys(way).length === 0);
  if (needsNone) {
    operation.summary = `${operation.summary ?? ""} (no key needed)`;
  }
}

async function show() {
  const document = await (await fetch("../openapi.json")).json();
  for (const path of Object.values(document.paths)) {
    for (const method of METHODS.filter((method) => path[method])) {
      shortenErrors(path[method]);
      sayWhenNoKeyIsNeeded(path[method]);
    }
  }
  document.servers = [{ url: new URL("..", location.href).href.replace(/\/$/, "") }];
  window.ui = SwaggerUIBundle({
    spec: document,
    dom_id: "#api",
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: -1,
    persistAuthorization: false,
  });
}

show();
