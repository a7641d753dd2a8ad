/**
 * A YAML file as plain data in which every value can still be traced to its line and column, with the environment
 * already put in.
 */
import {
  isAlias,
  isCollection,
  isMap,
  isNode,
  isPair,
  isScalar,
  LineCounter,
  parseDocument,
  visit,
} from 'yaml';
import type { Document, Node, Scalar, YAMLError } from 'yaml';
import { expandEnv } from './expand-env.ts';
import type { Env } from './expand-env.ts';
import { renderPath } from './problem.ts';
import type { Problem } from './problem.ts';

export type Path = readonly PropertyKey[];

export interface YamlFile {
  readonly file: string;
  /** Only when `usable`. */
  readonly data: () => unknown;
  readonly problems: readonly Problem[];
  /** False when nothing can be made of the file beyond `problems`. */
  readonly usable: boolean;
  /** Whether the value at `path` could not be expanded; what else is wrong with it is noise. */
  unexpanded(path: Path): boolean;
  /** A problem with a setting; placed at its key or value, or at the nearest block above it that is written down. */
  problem(path: Path, message: string, at?: 'key' | 'value'): Problem;
  /**
   * Text that came out of `${…}` is text, but where a number or a switch is wanted and it reads like one, it becomes
   * one. Returns whether the value at `path` was changed.
   */
  readAsScalar(path: Path): boolean;
}

/** Reads YAML 1.2 text. Never throws; what is wrong is in `problems`. */
export function readYaml(file: string, text: string, env: Env): YamlFile {
  const lines = new LineCounter();
  const doc = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    merge: true,
    logLevel: 'error',
  });
  const at = (offset: number): { line: number; column: number } => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const usable = doc.errors.every((error) => error.code === 'DUPLICATE_KEY') && !isAliasBomb(doc);
  const { expanded, failed } = usable ? expandScalars(doc, env) : { expanded: new Set<Node>(), failed: [] };
  return {
    file,
    usable,
    data: () => doc.toJS({ maxAliasCount: 100 }) as unknown,
    problems: [
      ...doc.errors.map((error) => ({ file, ...at(error.pos[0]), path: '', message: syntaxMessage(error) })),
      ...(usable || doc.errors.length > 0
        ? []
        : [{ file, ...at(0), path: '', message: 'too many aliases (*name)' }]),
      ...failed.map(({ node, path, message }) => {
        return { file, ...at(node.range?.[0] ?? 0), path: renderPath(path), message };
      }),
    ],
    unexpanded: (path) => failed.some(({ node }) => node === nodeAt(doc, path)),
    problem: (path, message, where = 'value') => {
      return { file, ...at(offsetOf(doc, path, where)), path: renderPath(path), message };
    },
    readAsScalar: (path) => {
      const node = nodeAt(doc, path);
      if (!isScalar(node) || !expanded.has(node) || typeof node.value !== 'string') return false;
      const value = numberOrSwitch(node.value);
      if (value === undefined) return false;
      node.value = value;
      return true;
    },
  };
}

/** The parser's own texts quote the file, and with it secrets; these do not. */
function syntaxMessage(error: YAMLError): string {
  if (error.code === 'DUPLICATE_KEY') return 'this key is already set above in the same block';
  if (error.code === 'TAB_AS_INDENT') return 'not YAML: a tab cannot indent, use spaces';
  if (error.code === 'BAD_ALIAS') return 'not YAML: text that starts with * must be quoted';
  if (error.code === 'MULTIPLE_DOCS') return 'a config is one YAML document: remove the line ---';
  const cause = error.code.toLowerCase().replaceAll('_', ' ');
  return `not YAML (${cause}): check the indentation, and quote text that holds any of : # { } [ ] & * ! | > ' " % @`;
}

/** A few lines of nested aliases can stand for gigabytes of data. */
function isAliasBomb(doc: Document): boolean {
  try {
    doc.toJS({ maxAliasCount: 100 });
    return false;
  } catch {
    return true;
  }
}

function expandScalars(doc: Document, env: Env) {
  const expanded = new Set<Node>();
  const failed: { node: Scalar; path: Path; message: string }[] = [];
  visit(doc, {
    Scalar: (key, node, above) => {
      if (key === 'key' || typeof node.value !== 'string' || !node.value.includes('$')) return;
      const result = expandEnv(node.value, env);
      if ('problem' in result) {
        failed.push({ node, path: pathOf([...above, node]), message: result.problem });
      } else if (result.changed) {
        node.value = result.text;
        expanded.add(node);
      }
    },
  });
  return { expanded, failed };
}

/** The path of the last of `ancestors`, which come from the outside in. */
function pathOf(ancestors: readonly unknown[]): Path {
  const path: PropertyKey[] = [];
  ancestors.forEach((node, i) => {
    const parent = ancestors[i - 1];
    if (isPair(node) && isScalar(node.key)) path.push(String(node.key.value));
    else if (isCollection(parent) && !isMap(parent)) path.push(parent.items.indexOf(node));
  });
  return path;
}

const behindAlias = (doc: Document, node: unknown): unknown => (isAlias(node) ? node.resolve(doc) : node);

function child(
  doc: Document,
  parent: unknown,
  key: PropertyKey,
): { key?: unknown; value: unknown } | undefined {
  const block = behindAlias(doc, parent);
  if (!isCollection(block)) return undefined;
  if (!isMap(block)) return { value: block.items[Number(key)] };
  return block.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === String(key));
}

function nodeAt(doc: Document, path: Path): unknown {
  return path.reduce<unknown>((node, key) => behindAlias(doc, child(doc, node, key)?.value), doc.contents);
}

function offsetOf(doc: Document, path: Path, where: 'key' | 'value'): number {
  let node: unknown = doc.contents;
  let offset = start(node) ?? 0;
  for (const [i, key] of path.entries()) {
    const found = child(doc, node, key);
    if (found === undefined) break;
    // A block is named by its key: that is the line people look for.
    const byKey = isCollection(found.value) || (where === 'key' && i === path.length - 1);
    const [first, second] = byKey ? [found.key, found.value] : [found.value, found.key];
    offset = start(first) ?? start(second) ?? offset;
    node = found.value;
  }
  return offset;
}

const start = (node: unknown): number | undefined => (isNode(node) ? node.range?.[0] : undefined);

function numberOrSwitch(text: string): number | boolean | undefined {
  if (text === 'true' || text === 'false') return text === 'true';
  return /^-?(\d+(\.\d+)?|\.\d+)$/.test(text) ? Number(text) : undefined;
}
