// spider (Rust) on one site: `node spider.mjs URL`. The time is taken here, since its process lingers.
import { Website } from "@spider-rs/spider-rs";

const site = new Website(process.argv[2]).withRespectRobotsTxt(true).build();
const started = performance.now();
await site.crawl();
console.log(JSON.stringify({ elapsed_s: (performance.now() - started) / 1000, links: site.getLinks().length }));
process.exit(0);
