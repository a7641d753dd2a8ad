/** What the demo says: decided from the request alone, so that the same question always gets the same answer. */
import { plausibleArguments, type JsonSchema } from './plausible-arguments.ts';

export interface Tool {
  name: string;
  parameters: JsonSchema;
}

export type ToolChoice = 'auto' | 'none' | 'required' | { name: string };

/** A conversation, whichever dialect it came in. */
export interface Ask {
  model: string;
  /** Text of the last message of the user. */
  question: string;
  /** Set when the last message is what a tool returned. */
  toolResult: string | undefined;
  /** Every text of the conversation. */
  texts: readonly string[];
  /** Most tokens of the answer; undefined: no limit. */
  maxTokens: number | undefined;
  tools: readonly Tool[];
  toolChoice: ToolChoice;
}

export interface Counts {
  prompt: number;
  completion: number;
}

export type Answer =
  | { kind: 'text'; tokens: readonly string[]; isCut: boolean; counts: Counts }
  | { kind: 'call'; name: string; arguments: string; counts: Counts };

const repeatedWordsMax = 60;

/** Words with the space before them: the demo's tokens. */
export const tokensOf = (text: string): string[] => text.match(/\s*\S+/g) ?? [];

export const countTokens = (texts: readonly string[]): number =>
  texts.reduce((sum, text) => sum + tokensOf(text).length, 0);

/** The answer to a conversation: a call of a tool when one fits, else a sentence that repeats the question. */
export function answerTo(ask: Ask): Answer {
  const prompt = Math.max(1, countTokens(ask.texts));
  const tool = toolToCall(ask);
  if (tool) {
    const text = JSON.stringify(plausibleArguments(tool.parameters, ask.question));
    return {
      kind: 'call',
      name: tool.name,
      arguments: text,
      counts: { prompt, completion: tokensOf(text).length + 1 },
    };
  }
  const all = tokensOf(sentenceFor(ask));
  const tokens = all.slice(0, ask.maxTokens ?? all.length);
  return {
    kind: 'text',
    tokens,
    isCut: tokens.length < all.length,
    counts: { prompt, completion: tokens.length },
  };
}

function sentenceFor({ question, toolResult }: Ask): string {
  if (toolResult !== undefined) return `The tool answered: ${shortened(toolResult)}`;
  if (question.trim() === '') return 'You said nothing. This is the demo backend of LLMProxy.';
  return (
    `You said: "${shortened(question)}". This is the demo backend of LLMProxy: there is no model behind it, ` +
    'it repeats what it is told and counts words as tokens.'
  );
}

function shortened(text: string): string {
  const words = tokensOf(text.trim());
  return words.slice(0, repeatedWordsMax).join('') + (words.length > repeatedWordsMax ? ' …' : '');
}

function toolToCall({ tools, toolChoice, question, toolResult }: Ask): Tool | undefined {
  if (toolChoice === 'none') return undefined;
  if (typeof toolChoice === 'object') return tools.find(({ name }) => name === toolChoice.name);
  if (toolChoice === 'required') return tools.find((tool) => isAbout(tool, question)) ?? tools[0];
  return toolResult === undefined ? tools.find((tool) => isAbout(tool, question)) : undefined;
}

/** Whether the question has a word of the tool's name in it: `get_weather` is about "the weather". */
function isAbout({ name }: Tool, question: string): boolean {
  const said = question.toLowerCase();
  const words = name.toLowerCase().split(/[^a-z0-9]+/);
  return said.includes(name.toLowerCase()) || words.some((word) => word.length > 3 && said.includes(word));
}
