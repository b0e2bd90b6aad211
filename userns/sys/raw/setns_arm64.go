package raw

const sysSetns = 268
