// The scripts of the page, checked strictly by what their comments say of types and by a linter, as the tests are; and
// what is vendored against the published package.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const assets = join(here, '../../crates/server/assets');
const published = join(here, 'node_modules/lit-html');

for (const name of readdirSync(join(assets, 'vendor/lit-html'), { recursive: true }).filter((name) => name.endsWith('.js'))) {
  if (!readFileSync(join(assets, 'vendor/lit-html', name)).equals(readFileSync(join(published, name)))) {
    console.error(`${name} is not the published one`);
    process.exit(1);
  }
}

const own = readdirSync(assets).filter((name) => name.endsWith('.js'));
const lint = spawnSync(join(here, 'node_modules/.bin/biome'), ['lint', `--config-path=${here}`, '--error-on-warnings', '--colors=off', here, ...own.map((name) => join(assets, name))], { stdio: 'inherit' });
if (lint.status !== 0) process.exit(lint.status ?? 1);

// The published package has its types beside its files, and the vendored files have not.
const folder = mkdtempSync(join(tmpdir(), 'quarterdeck-types-'));
cpSync(assets, folder, { recursive: true });
cpSync(published, join(folder, 'vendor/lit-html'), { recursive: true });
writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({
  compilerOptions: { strict: true, checkJs: true, allowJs: true, noEmit: true, target: 'es2024', module: 'esnext', moduleResolution: 'bundler',
    lib: ['es2024', 'dom', 'dom.iterable'], types: [], skipLibCheck: true },
  files: own,
}));
const { status } = spawnSync(join(here, 'node_modules/.bin/tsc'), ['--project', folder, '--pretty', 'false'], { stdio: 'inherit' });
rmSync(folder, { recursive: true, force: true });
process.exit(status ?? 1);
