"use strict";
// Every word of the page, in English and in Chinese. `|` is where a title may break.

const WORDS = {
  en: {
    tagline: "For a text you see the answer after each word, what each word contributed, and below it every gate and state on the way.", language: "Language", theme: "Theme", light: "light", dark: "dark",
    token: "Token of this service", enter: "Enter", model: "Model", text: "Text",
    one: "One text", texts: "Two texts", models: "Two models",
    trace: "Gates and states", traceHelp: "Every gate and state, a row for each unit and a column for each word. "
      + "Point at a cell to read it, click it to open that step.", ready: "The note's two sentences", speaksFor: "speaks for", against: "against",
    method: "Words explained by", layer: "Layer", direction: "Reading", order: "Rows sorted by", units: "Units",
    forwards: "from the beginning", backwards: "from the end",
    activity: "activity", halfLife: "half-life", byNumber: "number",
    "integrated-gradients": "integrated gradients", "gradient-x-input": "gradient × input", occlusion: "leaving out", pool: "max pooling",
    whatIf: "What if?", whatIfHelp: "Clamp a gate of this layer for all words: at 1 it is open, at 0 it is shut.",
    whatIfReport: "This report has the answers to that; words and states below stay those of the model as it is.",
    clamp: "clamp", step: "Step", help_lstm: "One word enters the cell. Word and previous output are joined and set every gate; "
      + "the forget gate clears the cell state, candidates are added, the output gate lets some of it out.",
    help_peephole: "One word enters the cell. Word and previous output are joined; with them, the cell state itself sets the gates: "
      + "before the step those that clear and add, after it the one that lets some of it out.",
    help_gru: "One word enters the cell. Word and previous output are joined and set both gates; the update gate keeps a part of "
      + "the previous output, the candidate fills the rest; the reset gate says how much of the previous output the candidate saw.",
    help_rnn: "One word enters the cell. Word and previous output make the next output; no gate keeps anything.",
    back: "back", forward: "forward", addUnit: "Show unit", unit: "unit", input: "word", previous: "previous output|h(t−1)", joined: "joined",
    generate: "Write", prompt: "Begins with", length: "Length", temperature: "Temperature", write: "Write", stop: "Stop",
    footer: "gatelight. Nothing on this page comes from elsewhere, and nothing leaves for elsewhere.",
    turn: "biggest turn", mapHelp: "Arrow keys move, Enter opens the step.", forgets: "half-life",
    unknownShare: "unknown words", unknownAre: "Not known, and what is read instead", nothing: "nothing", unread: "Past the maximal length, not read",
    gap: "not explained", nats: "nats", of: "of", bitsEach: "bits a token", without: "without clamping", curve: "Probability after each word",
    bitsCurve: "Bits that each token costs", tokens: "tokens", forever: "forever", contribution: "contribution", ngrams: "N-grams beside the words", alone: "the recurrent side alone",
    input_gate: "input gate i", forget_gate: "forget gate f", candidate: "candidate", output_gate: "output gate o", cell_state: "cell state|c(t)",
    hidden_state: "hidden state|h(t)", before_cell_state: "previous cell|c(t−1)", before_hidden_state: "previous output|h(t−1)", reset_gate: "reset gate r",
    update_gate: "update gate z", rest_update_gate: "1 − z",
  },
  zh: {
    tagline: "对一段文本，可以看到读完每个词之后的回答、每个词的贡献，以及下方途中所有的门与状态。", language: "语言", theme: "主题", light: "浅色", dark: "深色",
    token: "本服务的令牌", enter: "进入", model: "模型", text: "文本", one: "一段文本", texts: "两段文本", models: "两个模型",
    trace: "门与状态", traceHelp: "所有的门与状态：一行一个单元，一列一个词。指向格子可读数值，点击打开那一步。", ready: "笔记中的两个句子",
    speaksFor: "支持", against: "反对",
    method: "词的解释方法", layer: "层", direction: "阅读方向", order: "行排序", units: "单元数", forwards: "从头到尾", backwards: "从尾到头",
    activity: "活跃度", halfLife: "半衰期", byNumber: "编号",
    "integrated-gradients": "积分梯度", "gradient-x-input": "梯度 × 输入", occlusion: "逐词删除", pool: "最大池化",
    whatIf: "假如？", whatIfHelp: "让这一层的某个门对所有词保持不变：1 为全开，0 为关闭。",
    whatIfReport: "本报告只含此时的答案；下面的词与状态仍是原模型的。", clamp: "固定",
    step: "单步", help_lstm: "一个词进入单元。词与上一步输出相连，决定每个门；遗忘门擦去部分单元状态，加入候选值，输出门放出一部分。",
    help_peephole: "一个词进入单元。词与上一步输出相连；单元状态本身也参与决定各门：擦去与加入看之前的状态，输出看之后的状态。",
    help_gru: "一个词进入单元。词与上一步输出相连，决定两个门；更新门保留上一步输出的一部分，其余由候选值填补；重置门决定候选值看到多少上一步输出。",
    help_rnn: "一个词进入单元。词与上一步输出生成下一步输出；没有门保留任何内容。",
    back: "后退", forward: "前进", addUnit: "显示单元", unit: "单元", input: "词", previous: "上一步输出|h(t−1)", joined: "相连",
    generate: "写作", prompt: "开头", length: "长度", temperature: "温度", write: "开始写", stop: "停止",
    footer: "gatelight。本页没有任何内容来自别处，也没有任何内容发往别处。",
    turn: "最大转折", mapHelp: "方向键移动，回车打开该步。", forgets: "半衰期",
    unknownShare: "未知词", unknownAre: "不认识的词及其替代", nothing: "略去", unread: "超出最大长度，未读",
    gap: "未解释部分", nats: "奈特", of: "共", bitsEach: "比特每词元", without: "不固定时", curve: "读完每个词后的概率",
    bitsCurve: "每个词元的比特数", tokens: "词元", forever: "永久", contribution: "贡献", ngrams: "词以外，n 元组的贡献", alone: "仅循环部分",
    input_gate: "输入门 i", forget_gate: "遗忘门 f", candidate: "候选值", output_gate: "输出门 o", cell_state: "单元状态|c(t)", hidden_state: "隐藏状态|h(t)",
    before_cell_state: "之前的单元|c(t−1)", before_hidden_state: "上一步输出|h(t−1)", reset_gate: "重置门 r", update_gate: "更新门 z", rest_update_gate: "1 − z",
  },
};

let language = "en";
const say = (key) => WORDS[language][key] ?? key;
const flat = (key) => say(key).replace("|", " ");
