/** What is said to the demo backend, and what it says: 2 tokens and 28; its call of a tool: 6 and 2. */
export const question = 'Hello there';
export const messages = [{ role: 'user' as const, content: question }];
export const answer =
  'You said: "Hello there". This is the demo backend of LLMProxy: there is no model behind it, it repeats what it ' +
  'is told and counts words as tokens.';

const weather = {
  name: 'get_weather',
  description: 'The weather of a city.',
  schema: { type: 'object' as const, properties: { city: { type: 'string' } }, required: ['city'] },
};
export const asksForWeather = [{ role: 'user' as const, content: 'What is the weather in Paris?' }];
export const openaiTools = [
  {
    type: 'function' as const,
    function: { name: weather.name, description: weather.description, parameters: weather.schema },
  },
];
export const claudeTools = [
  { name: weather.name, description: weather.description, input_schema: weather.schema },
];
