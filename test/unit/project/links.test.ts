/** Links between the documents lead somewhere, and every document can be found from the index. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../../src/bintools/package-root.ts';

const root = packageRoot();
const documents = [
  ...readdirSync(root),
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).map((name) => join('docs', name)),
].filter((name) => name.endsWith('.md'));

/** Targets of relative links, from the root. */
function targets(document: string): string[] {
  return [...readFileSync(join(root, document), 'utf8').matchAll(/\]\(([^)\s#]+)(?:#[^)]*)?\)/g)]
    .map((match) => match[1] as string)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => relative(root, resolve(root, dirname(document), target)));
}

describe('documents', () => {
  test.each(documents)('%s links to what is there', (document) => {
    expect(targets(document).filter((target) => !existsSync(join(root, target)))).toEqual([]);
  });

  test('are all reached from docs/README.md', () => {
    const reached = new Set(['docs/README.md']);
    for (const document of reached)
      for (const target of targets(document)) if (documents.includes(target)) reached.add(target);
    expect(documents.filter((document) => !reached.has(document))).toEqual([]);
  });
});
