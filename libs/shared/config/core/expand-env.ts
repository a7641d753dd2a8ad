/** Environment variables by name, as in `process.env`. */
export type Env = Readonly<Record<string, string | undefined>>;

export type Expansion = { readonly text: string; readonly changed: boolean } | { readonly problem: string };

const reference = /\$\$|\$\{([^}]*)(\}?)/g;
const variable = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s;

/**
 * Replaces `${NAME}` and `${NAME:-default}` (the default also stands in for an empty variable) and turns `$$` into
 * `$`. A value put in is not expanded again.
 * @returns the text, or a problem that names the variable but no value
 */
export function expandEnv(text: string, env: Env): Expansion {
  let problem: string | undefined;
  const expanded = text.replaceAll(
    reference,
    (whole, inside: string | undefined, close: string | undefined) => {
      if (whole === '$$') return '$';
      const found = close === '' ? { problem: unclosed } : lookUp(inside ?? '', env);
      if ('text' in found) return found.text;
      problem ??= found.problem;
      return '';
    },
  );
  return problem === undefined ? { text: expanded, changed: expanded !== text } : { problem };
}

const unclosed = '"${" without its "}"; a plain dollar sign is written $$';

function lookUp(inside: string, env: Env): { text: string } | { problem: string } {
  const [, name, fallback] = variable.exec(inside) ?? [];
  if (name === undefined) {
    return { problem: 'what stands in ${…} is no variable name; a plain dollar sign is written $$' };
  }
  const value = Object.hasOwn(env, name) ? env[name] : undefined;
  const text = value === '' ? (fallback ?? '') : (value ?? fallback);
  if (text !== undefined) return { text };
  return { problem: `the environment variable ${name} is not set; \${${name}:-…} would give it a default` };
}
