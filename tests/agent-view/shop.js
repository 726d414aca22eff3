// A small shop, for agents with a browser: the pages look like something, and the picture of a session with them too.
import { createServer } from 'node:http';

const STYLE = `<!doctype html><meta charset="utf-8"><style>
*{box-sizing:border-box}body{margin:0;font:16px/1.4 "Liberation Sans",sans-serif;color:#1d2430;background:#f4f1ea}
header{height:64px;background:#23344e;color:#fff;display:flex;align-items:center;padding:0 32px;gap:32px;font-weight:700;font-size:22px}header small{font-weight:400;font-size:15px;opacity:.8}
main{display:grid;grid-template-columns:repeat(3,1fr);gap:24px;padding:32px}a{color:inherit;text-decoration:none}
.card{background:#fff;border-radius:12px;padding:18px;box-shadow:0 2px 8px #0002;height:250px;display:block}.art{height:140px;border-radius:8px;margin-bottom:12px}
.card b{float:right;color:#b3401d}.one{display:grid;grid-template-columns:1fr 1fr;gap:40px;padding:40px}.one .art{height:380px}.one h1{margin:0 0 8px}
button{font:inherit;font-weight:700;background:#b3401d;color:#fff;border:0;border-radius:8px;padding:14px 28px}table{border-collapse:collapse;margin:16px 0}td,th{border-bottom:1px solid #ccc;padding:8px 24px 8px 0;text-align:left}</style>`;
const THINGS = [['MX-7', 19, '#e8b04b,#d8643a'], ['MX-5', 14, '#7fb7be,#3a6e8f'], ['Lamp No. 4', 39, '#d9d2c5,#8c7b6b'], ['Kettle', 24, '#a3c585,#4c7a4d'], ['Radio', 49, '#c9ada7,#6d597a'], ['Clock', 29, '#f2cc8f,#81b29a']];
const header = '<header>Harbour &amp; Sons<small>Shelves</small><small>Delivery</small><small>Basket (0)</small></header>';
const art = (colours) => `<div class="art" style="background:linear-gradient(135deg,${colours})"></div>`;
const list = (things) => `${STYLE}<title>Harbour &amp; Sons</title>${header}<main>${things.map(([name, price, colours]) => `<a class="card" href="/thing/${encodeURIComponent(name)}">${art(colours)}${name}<b>${price} €</b></a>`).join('')}</main>`;
const thing = ([name, price, colours]) => `${STYLE}<title>${name}</title>${header}<div class="one">${art(colours)}<div><h1>${name}</h1><p>In stock in two shops.</p><table><tr><th>Shop<th>Left<th>Price<tr><td>North<td>3<td>${price} €<tr><td>South<td>1<td>${price + 4} €</table><button>Put it into the basket</button></div></div>`;

/** Where the things of the list are: the middles of their cards, in a window of 1,200 points. */
export const PLACES = { 'MX-7': [218, 220], 'MX-5': [600, 220], 'Lamp No. 4': [982, 220] };

/** Opens the shop on a free port. */
export async function openShop() {
  const server = createServer((request, response) => {
    const found = THINGS.find(([name]) => request.url === `/thing/${encodeURIComponent(name)}`);
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(found ? thing(found) : list(THINGS));
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); }) };
}

/** The lines of a script that looks for the cheapest shop. */
export function shopping(url) {
  const click = (name) => `@call click_web ${JSON.stringify({ element: `the card of ${name}`, x: PLACES[name][0], y: PLACES[name][1] })}`;
  return ['@say The shop lists six things; the MX-7 is the first one.', '@usage in=2140 out=61', click('MX-7'),
    '@say North has three of them, for 19 €. I compare with the MX-5.', '@usage in=3381 out=84', '@call go_back_web {}', '@usage in=3390 out=22', click('MX-5'),
    '@usage in=4012 out=35', `@call go_to_web ${JSON.stringify({ url: `${url}/thing/MX-7` })}`].join('\n');
}

/** What a session needs to go shopping. */
export const browserAt = (url) => ({ kind: 'web', id: 'w', start_url: url, mode: { type: 'visual', width: 1200, height: 700, markdown: true }, settle_s: 0.3 });
