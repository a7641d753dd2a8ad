/** What a handler gives back, before it is written to the network. */
export interface Frame {
  text: string;
  /** Whether it carries a token, which takes its time. */
  isToken: boolean;
}

export type Reply = { kind: 'json'; value: unknown } | { kind: 'stream'; frames: readonly Frame[] };

export type Body = Readonly<Record<string, unknown>>;

/** A request that gets an error in the dialect of its path. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export const isObject = (value: unknown): value is Body =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A list of objects; anything else in it is left out. */
export const objects = (value: unknown): Body[] => (Array.isArray(value) ? value.filter(isObject) : []);

/** The model asked for; models named `error-<status>` fail with that status. @throws Refusal */
export function modelOf(body: Body): string {
  const { model } = body;
  if (typeof model !== 'string' || model === '') throw new Refusal(400, 'you must provide a model parameter');
  const failure = /^error-([45]\d\d)$/.exec(model)?.[1];
  if (failure !== undefined)
    throw new Refusal(Number(failure), `the demo backend fails on request: ${model}`);
  return model;
}

/** The first of these fields that is a positive whole number. @throws Refusal when one is no such number */
export function limitOf(body: Body, ...names: readonly string[]): number | undefined {
  for (const name of names) {
    const value = body[name];
    if (value === undefined || value === null) continue;
    if (!Number.isInteger(value) || (value as number) < 1)
      throw new Refusal(400, `${name} must be a positive integer`);
    return value as number;
  }
  return undefined;
}

/** All text in a message: a string, or the text parts of a list. */
export function textIn(content: unknown): string {
  if (typeof content === 'string') return content;
  return objects(content)
    .map((part) => (typeof part['text'] === 'string' ? part['text'] : ''))
    .join('');
}

/** A frame without a name, as OpenAI's older APIs send them. */
export const dataFrame = (value: unknown, isToken = false): Frame => ({
  text: `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`,
  isToken,
});

/** A frame named after the type of its event. */
export const eventFrame = (event: { type: string }, isToken = false): Frame => ({
  text: `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`,
  isToken,
});

/** Made anew for each answer: `chatcmpl-…`. */
export const newId = (prefix: string): string => `${prefix}${crypto.randomUUID().replaceAll('-', '')}`;

export const nowSeconds = (): number => Math.floor(Date.now() / 1000);

/** JSON arguments in pieces of a few characters, as models stream them. */
export const piecesOf = (text: string): string[] => text.match(/[\s\S]{1,12}/g) ?? [];
