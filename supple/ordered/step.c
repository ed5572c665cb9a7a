/* A step of ON-LSTM and its gradient, all but its product, in the symbols of equations.py.

Tensors have T steps of B rows each, those of h and c the state before them as well. A row of gates, of width
2n + 4D, has the softmaxes of the masters (n each), then σ(o), ĉ, σ(i) and σ(f). y is the product that step t
adds, as `parts` summands one after another. Where there is a mask and it is 0, h and c stay. Gates may be
where x is, and dz where gates are. */

#include <stddef.h>
#include <stdint.h>

/* Not from string.h: a compiler that has no C library at hand has none. */
void *memcpy(void *, const void *, size_t);
void *memset(void *, int, size_t);

/* 2ᵏ eʳ with |r| ≤ ½ log 2 and a polynomial of Cephes: within 1e-7 of itself, and loops of it are vectors. */
static inline float exponential(float x) {
    x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
    float k = x * 1.44269504f + 12582912.0f, power; /* 1.5 · 2²³: adding it rounds, to the low bits */
    int32_t bits;
    memcpy(&bits, &k, sizeof bits);
    bits = (int32_t)((uint32_t)bits << 23) + 0x3f800000;
    memcpy(&power, &bits, sizeof power);
    k -= 12582912.0f;
    float r = x - k * 0.693359375f + k * 2.12194440e-4f;
    float sum = 1.9875691500e-4f;
    sum = sum * r + 1.3981999507e-3f;
    sum = sum * r + 8.3334519073e-3f;
    sum = sum * r + 4.1665795894e-2f;
    sum = sum * r + 1.6666665459e-1f;
    sum = sum * r + 5.0000001201e-1f;
    return (sum * r * r + r + 1.0f) * power;
}

static inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

/* Within 3e-7 of itself: near 0, where that difference has few digits, it is x + x³ P(x²), of Cephes too. */
static inline float hyperbolic_tangent(float x) {
    float far = 2.0f * sigmoid(2.0f * x) - 1.0f, square = x * x;
    float sum = -5.70498872745e-3f;
    sum = sum * square + 2.06390887954e-2f;
    sum = sum * square - 5.37397155531e-2f;
    sum = sum * square + 1.33314422036e-1f;
    sum = sum * square - 3.33332819422e-1f;
    return square < 0.39f ? x + x * square * sum : far;
}

static void softmax(int n, float *x) {
    float most = x[0], sum = 0.0f;
    for (int k = 1; k < n; k++) most = x[k] > most ? x[k] : most;
    for (int k = 0; k < n; k++) x[k] = exponential(x[k] - most);
    #pragma omp simd reduction(+ : sum)
    for (int k = 0; k < n; k++) sum += x[k];
    for (int k = 0; k < n; k++) x[k] /= sum;
}

/* ĩ and f̃ of each unit from both softmaxes; gives the mean of f̃. */
static float masters(int size, int n, int paper, int hard, const float *p, float *i_master, float *f_master) {
    int chunk = size / n;
    float sum = 0.0f, all = 0.0f;
    for (int k = n - 1; k >= 0; k--) {
        float level = paper ? sum : sum + p[k];
        sum += p[k];
        if (hard) level = level > 0.5f;
        for (int j = k * chunk; j < (k + 1) * chunk; j++) i_master[j] = level;
    }
    sum = 0.0f;
    for (int k = 0; k < n; k++) {
        sum += p[n + k];
        float level = hard ? sum > 0.5f : sum;
        for (int j = k * chunk; j < (k + 1) * chunk; j++) f_master[j] = level;
        all += level;
    }
    return all / n;
}

static void add(int size, float *restrict x, const float *restrict y, int parts, size_t apart) {
    for (int part = 0; part < parts; part++)
        for (int j = 0; j < size; j++) x[j] += y[part * apart + j];
}

/* `room` is for B rows of 2D. If gates are not to be kept, there is one step of them. */
void forward(int rows, int size, int n, int paper, int hard, int keep, const float *x, const uint8_t *mask,
             float *h, float *c, float *gates, float *d, float *room, int t, const float *y, int parts) {
    int width = 2 * n + 4 * size;
    #pragma omp parallel for if (rows > 1)
    for (int row = 0; row < rows; row++) {
        size_t at = (size_t)t * rows + row;
        float *i_master = room + (size_t)row * 2 * size, *f_master = i_master + size;
        float *g = gates + (keep ? at : (size_t)row) * width;
        float *o = g + 2 * n, *c_hat = o + size, *i = c_hat + size, *f = i + size;
        const float *h_before = h + at * size, *c_before = c + at * size;
        float *h_now = h + (at + rows) * size, *c_now = c + (at + rows) * size;
        if (g != x + at * width) memcpy(g, x + at * width, width * sizeof(float));
        add(width, g, y + (size_t)row * width, parts, (size_t)rows * width);
        softmax(n, g);
        softmax(n, g + n);
        d[at] = 1.0f - masters(size, n, paper, hard, g, i_master, f_master);
        #pragma omp simd
        for (int j = 0; j < size; j++) {
            o[j] = sigmoid(o[j]);
            c_hat[j] = hyperbolic_tangent(c_hat[j]);
            i[j] = sigmoid(i[j]);
            f[j] = sigmoid(f[j]);
            c_now[j] = f_master[j] * (1.0f - i_master[j] * (1.0f - f[j])) * c_before[j] +
                       i_master[j] * (1.0f - f_master[j] * (1.0f - i[j])) * c_hat[j];
            h_now[j] = o[j] * hyperbolic_tangent(c_now[j]);
        }
        if (mask && !mask[at]) {
            memcpy(h_now, h_before, size * sizeof(float));
            memcpy(c_now, c_before, size * sizeof(float));
            d[at] = 0.0f;
        }
    }
}

/* Sums of x (n, chunk) over chunks, written over its start. */
static void sum_chunks(int n, int chunk, float *x) {
    for (int k = 0; k < n; k++) {
        float sum = 0.0f;
        #pragma omp simd reduction(+ : sum)
        for (int j = k * chunk; j < (k + 1) * chunk; j++) sum += x[j];
        x[k] = sum;
    }
}

/* The gradient by the logits of a softmax p from that by p. */
static void by_logits(int n, const float *p, const float *by_p, float *dz) {
    float sum = 0.0f;
    #pragma omp simd reduction(+ : sum)
    for (int k = 0; k < n; k++) sum += p[k] * by_p[k];
    for (int k = 0; k < n; k++) dz[k] = p[k] * (by_p[k] - sum);
}

/* `all_dh` and `all_dc` (B, D) become those of the state before. The gradient by h is by_h, y and what is in
`all_dh`, where the step after is left out. `room` is for B rows of 4D. */
void backward(int rows, int size, int n, int paper, int hard, const float *by_h, const float *by_d,
              const uint8_t *mask, const float *c, const float *gates, float *all_dh, float *all_dc,
              float *dz, float *room, int t, const float *y, int parts) {
    int width = 2 * n + 4 * size;
    #pragma omp parallel for if (rows > 1)
    for (int row = 0; row < rows; row++) {
        size_t at = (size_t)t * rows + row;
        float *i_master = room + (size_t)row * 4 * size, *f_master = i_master + size;
        float *by_i = f_master + size, *by_f = by_i + size;
        float *dh = all_dh + (size_t)row * size, *dc = all_dc + (size_t)row * size;
        const float *g = gates + at * width;
        const float *o = g + 2 * n, *c_hat = o + size, *i = c_hat + size, *f = i + size;
        const float *c_before = c + at * size, *c_now = c + (at + rows) * size;
        float *dz_i_master = dz + at * width, *dz_f_master = dz_i_master + n, *dz_o = dz_f_master + n;
        float *dz_c_hat = dz_o + size, *dz_i = dz_c_hat + size, *dz_f = dz_i + size;
        add(size, dh, by_h + at * size, 1, 0);
        add(size, dh, y + (size_t)row * size, parts, (size_t)rows * size);
        if (mask && !mask[at]) {
            memset(dz_i_master, 0, width * sizeof(float));
            continue;
        }
        masters(size, n, paper, hard, g, i_master, f_master);
        #pragma omp simd
        for (int j = 0; j < size; j++) {
            float sigma_o = o[j], tanh_c_hat = c_hat[j], sigma_i = i[j], sigma_f = f[j]; /* dz may go over them */
            float tanh_c = hyperbolic_tangent(c_now[j]), both = i_master[j] * f_master[j];
            float lost = f_master[j] * (1.0f - sigma_f), new = i_master[j] * (1.0f - sigma_i);
            float kept = 1.0f - i_master[j] * (1.0f - sigma_f), written = 1.0f - f_master[j] * (1.0f - sigma_i);
            float by_c = dc[j] + dh[j] * sigma_o * (1.0f - tanh_c * tanh_c);
            dz_o[j] = dh[j] * tanh_c * sigma_o * (1.0f - sigma_o);
            dz_c_hat[j] = by_c * i_master[j] * written * (1.0f - tanh_c_hat * tanh_c_hat);
            dz_i[j] = by_c * tanh_c_hat * both * sigma_i * (1.0f - sigma_i);
            dz_f[j] = by_c * c_before[j] * both * sigma_f * (1.0f - sigma_f);
            by_i[j] = by_c * (tanh_c_hat * written - c_before[j] * lost);
            by_f[j] = by_c * (c_before[j] * kept - tanh_c_hat * new);
            dc[j] = by_c * f_master[j] * kept;
            dh[j] = 0.0f;
        }
        sum_chunks(n, size / n, by_i);
        sum_chunks(n, size / n, by_f);
        /* By a softmax: what all levels have of it. 1 less the sum up to a level, of which ĩ is in the form of
        the paper, is the sum of what follows. */
        float sum = 0.0f;
        for (int k = 0; k < n; k++) {
            float here = by_i[k];
            by_i[k] = paper ? sum : sum + here;
            sum += here;
        }
        sum = 0.0f;
        for (int k = n - 1; k >= 0; k--) {
            sum += by_f[k] - by_d[at] / n;
            by_f[k] = sum;
        }
        by_logits(n, g, by_i, dz_i_master);
        by_logits(n, g + n, by_f, dz_f_master);
    }
}
