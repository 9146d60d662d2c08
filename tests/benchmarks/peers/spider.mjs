// spider (Rust) on one site: `node spider.mjs URL [DATABASE]`. The time is taken here, since its process lingers.
// With a DATABASE, its callback writes each page's HTML there (SQLite by better-sqlite3, a transaction for 500 pages).
import { Website } from "@spider-rs/spider-rs";

const BATCH = 500;

const [url, path] = process.argv.slice(2);
const site = new Website(url).withRespectRobotsTxt(true).build();
const store = path ? await opened(path) : null;
const started = performance.now();
const subscription = store ? site.subscribe(store.keep) : 0;
await site.crawl();
if (store) {
  site.unsubscribe(subscription);
  store.end();
}
console.log(JSON.stringify({ elapsed_s: (performance.now() - started) / 1000, links: site.getLinks().length }));
process.exit(0);

async function opened(path) {
  const { default: Database } = await import("better-sqlite3");
  const database = new Database(path);
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = NORMAL");
  database.exec("CREATE TABLE pages (id INTEGER PRIMARY KEY, url TEXT NOT NULL, status INTEGER, html TEXT)");
  const insert = database.prepare("INSERT INTO pages (url, status, html) VALUES (?, ?, ?)");
  const insertAll = database.transaction((pages) => {
    for (const page of pages) insert.run(page.url, page.statusCode, page.content);
  });
  let waiting = [];
  const flush = () => {
    insertAll(waiting);
    waiting = [];
  };
  const keep = (error, page) => {
    if (error) throw error;
    if (waiting.push(page) >= BATCH) flush();
  };
  const end = () => {
    flush();
    database.close();
  };
  return { keep, end };
}
