// Scalable vectors (DDI 0487 A1.5): a guest has them at the CPU's full length, and finds them empty.

  .arch_extension sve

  .text
// void reset_scalable_vectors(): CPTR_EL2 lets EL2 use them
  .global reset_scalable_vectors
reset_scalable_vectors:
  mov   x0, #0xf                       // ZCR_EL2.LEN: the longest that there is, for EL1 and EL0, too
  msr   S3_4_C1_C2_0, x0
  msr   S3_0_C1_C2_0, xzr              // ZCR_EL1
  isb
  .irp  n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
  mov   z\n\().d, #0
  pfalse p\n\().b
  .endr
  .irp  n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
  mov   z\n\().d, #0
  .endr
  wrffr p0.b
  ret
