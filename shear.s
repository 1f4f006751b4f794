	.file	"<string>"
	.section	.rodata.cst4,"aM",@progbits,4
	.p2align	2, 0x0
.LCPI0_0:
	.long	4286578688
.LCPI0_1:
	.long	8388607
.LCPI0_2:
	.long	1065353216
.LCPI0_3:
	.long	0x3c5dbe6b
.LCPI0_4:
	.long	0xbb0b4738
.LCPI0_5:
	.long	0x3e2a9cb4
.LCPI0_6:
	.long	0x3e9fc090
.LCPI0_7:
	.long	0x3f028d04
.LCPI0_8:
	.long	0xbf800000
.LCPI0_9:
	.long	0x4858bd4d
.LCPI0_10:
	.long	0x497cd423
.LCPI0_11:
	.long	0xca0f1fa0
.LCPI0_12:
	.long	0x4a6aa279
.LCPI0_13:
	.long	0xcab7e153
.LCPI0_14:
	.long	0x4b38a595
	.section	.ltext,"axl",@progbits
	.globl	_ZN8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE
	.p2align	4
	.type	_ZN8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE,@function
_ZN8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE:
	.cfi_startproc
	pushq	%rbp
	.cfi_def_cfa_offset 16
	pushq	%r15
	.cfi_def_cfa_offset 24
	pushq	%r14
	.cfi_def_cfa_offset 32
	pushq	%r13
	.cfi_def_cfa_offset 40
	pushq	%r12
	.cfi_def_cfa_offset 48
	pushq	%rbx
	.cfi_def_cfa_offset 56
	subq	$152, %rsp
	.cfi_def_cfa_offset 208
	.cfi_offset %rbx, -56
	.cfi_offset %r12, -48
	.cfi_offset %r13, -40
	.cfi_offset %r14, -32
	.cfi_offset %r15, -24
	.cfi_offset %rbp, -16
	movq	480(%rsp), %rbp
	movq	424(%rsp), %r12
	movq	336(%rsp), %r13
	movq	264(%rsp), %r15
	movabsq	$NRT_incref, %rbx
	movq	%rdi, %r14
	movq	%rdx, %rdi
	movq	%rsi, 16(%rsp)
	movq	%rdx, 48(%rsp)
	callq	*%rbx
	movq	%r15, %rdi
	callq	*%rbx
	movq	%r13, %rdi
	callq	*%rbx
	movq	%r12, %rdi
	callq	*%rbx
	movq	%rbp, %rdi
	callq	*%rbx
	movq	536(%rsp), %rdi
	callq	*%rbx
	movabsq	$NRT_MemInfo_alloc_aligned, %rax
	movl	$512, %edi
	movl	$32, %esi
	callq	*%rax
	movq	%rax, 24(%rsp)
	testq	%rax, %rax
	je	.LBB0_1
	cmpq	$0, 584(%rsp)
	movq	%r14, 40(%rsp)
	jle	.LBB0_2
	cmpq	$0, 576(%rsp)
	setle	%al
	cmpq	$0, 592(%rsp)
	setle	%cl
	orb	%al, %cl
	je	.LBB0_6
.LBB0_2:
	movq	336(%rsp), %rdi
	movabsq	$NRT_decref, %rbx
	vzeroupper
	callq	*%rbx
	movq	48(%rsp), %rdi
	callq	*%rbx
	movq	424(%rsp), %rdi
	callq	*%rbx
	movq	24(%rsp), %rdi
	callq	*%rbx
	movq	480(%rsp), %rdi
	callq	*%rbx
	movq	536(%rsp), %rdi
	callq	*%rbx
	movq	264(%rsp), %rdi
	callq	*%rbx
	movq	40(%rsp), %rax
	movq	$0, (%rax)
	xorl	%eax, %eax
.LBB0_3:
	addq	$152, %rsp
	.cfi_def_cfa_offset 56
	popq	%rbx
	.cfi_def_cfa_offset 48
	popq	%r12
	.cfi_def_cfa_offset 40
	popq	%r13
	.cfi_def_cfa_offset 32
	popq	%r14
	.cfi_def_cfa_offset 24
	popq	%r15
	.cfi_def_cfa_offset 16
	popq	%rbp
	.cfi_def_cfa_offset 8
	retq
.LBB0_6:
	.cfi_def_cfa_offset 208
	movabsq	$.LCPI0_4, %rcx
	movabsq	$.LCPI0_9, %r10
	movq	24(%rsp), %r9
	movabsq	$.LCPI0_8, %rsi
	movabsq	$.LCPI0_3, %rax
	movabsq	$.LCPI0_5, %rdx
	movabsq	$.LCPI0_7, %rdi
	movabsq	$.LCPI0_11, %r11
	movabsq	$.LCPI0_12, %r15
	movq	456(%rsp), %r8
	vbroadcastss	(%rcx), %zmm1
	movabsq	$.LCPI0_6, %rcx
	vbroadcastss	(%r10), %zmm6
	movabsq	$.LCPI0_10, %r10
	vbroadcastss	(%rsi), %zmm5
	movq	232(%rsp), %rsi
	vbroadcastss	(%rdx), %zmm2
	vbroadcastss	(%rdi), %zmm4
	vbroadcastss	(%r11), %zmm8
	vbroadcastss	(%rax), %zmm0
	movq	368(%rsp), %rdx
	vbroadcastss	(%r15), %zmm9
	movq	592(%rsp), %r11
	movq	208(%rsp), %rdi
	vbroadcastss	(%rcx), %zmm3
	movq	392(%rsp), %rcx
	vbroadcastss	(%r10), %zmm7
	movq	384(%rsp), %r10
	imulq	584(%rsp), %r11
	movq	24(%r9), %rbx
	movq	224(%rsp), %r9
	imulq	%rcx, %r10
	leaq	(,%rcx,4), %rax
	movq	%rax, 16(%rsp)
	movq	%r11, 88(%rsp)
	leaq	(,%r10,4), %r14
	movq	%r10, 72(%rsp)
	movabsq	$.LCPI0_13, %r10
	imulq	%rsi, %r9
	vbroadcastss	(%r10), %zmm10
	movabsq	$.LCPI0_14, %r10
	movq	%r14, 64(%rsp)
	movabsq	$.LCPI0_0, %r14
	vbroadcastss	(%r10), %zmm12
	movabsq	$.LCPI0_2, %r10
	vpbroadcastd	(%r14), %zmm11
	movabsq	$.LCPI0_1, %r14
	vbroadcastss	(%r10), %zmm14
	vpbroadcastd	(%r10), %zmm15
	leaq	(,%r9,4), %rax
	movq	%r9, 96(%rsp)
	vpbroadcastd	(%r14), %zmm13
	movq	%rax, 32(%rsp)
	leaq	28(%rdx), %rax
	xorl	%edx, %edx
	movq	%rax, 8(%rsp)
	leaq	(,%rsi,4), %rax
	movq	%rax, 144(%rsp)
	leaq	28(%rdi), %rax
	movq	%rax, 56(%rsp)
	jmp	.LBB0_7
	.p2align	4
.LBB0_17:
	movq	80(%rsp), %rdx
	movq	8(%rsp), %rax
	addq	64(%rsp), %rax
	incq	%rdx
	movq	%rax, 8(%rsp)
	cmpq	%rdx, 584(%rsp)
	je	.LBB0_2
.LBB0_7:
	movq	296(%rsp), %rax
	movq	368(%rsp), %rcx
	movq	56(%rsp), %rdi
	movq	%rdx, 80(%rsp)
	leaq	(%rax,%rdx,4), %rax
	movq	%rax, 112(%rsp)
	movq	72(%rsp), %rax
	imulq	%rdx, %rax
	leaq	(%rcx,%rax,4), %r11
	movq	%rdx, %rax
	imulq	592(%rsp), %rax
	movq	568(%rsp), %rcx
	leaq	(%rcx,%rax,4), %rax
	movq	%rax, 104(%rsp)
	xorl	%eax, %eax
	jmp	.LBB0_8
	.p2align	4
.LBB0_16:
	movq	128(%rsp), %rdi
	movq	120(%rsp), %rax
	addq	32(%rsp), %rdi
	cmpq	%rax, 576(%rsp)
	je	.LBB0_17
.LBB0_8:
	movq	%rax, %rcx
	imulq	312(%rsp), %rcx
	movq	112(%rsp), %rdx
	movq	96(%rsp), %rsi
	leaq	1(%rax), %r9
	movq	%rdi, 128(%rsp)
	movq	%r9, 120(%rsp)
	vbroadcastss	(%rdx,%rcx,4), %zmm16
	movq	88(%rsp), %rcx
	movq	208(%rsp), %rdx
	imulq	%rax, %rcx
	imulq	%rsi, %rax
	leaq	(%rdx,%rax,4), %r12
	movq	%r9, %rax
	imulq	%rsi, %rax
	movq	%rdi, %rsi
	leaq	(%rdx,%rax,4), %rax
	movq	8(%rsp), %rdx
	movq	%rax, 136(%rsp)
	movq	104(%rsp), %rax
	leaq	(%rax,%rcx,4), %r14
	xorl	%eax, %eax
	xorl	%ecx, %ecx
	jmp	.LBB0_9
	.p2align	4
.LBB0_18:
	vmovups	(%r10), %zmm17
	vmovups	(%r15), %zmm21
	vmovups	64(%r10), %zmm18
	vmovups	64(%r15), %zmm22
	vmovups	128(%r10), %zmm19
	vmovups	128(%r15), %zmm23
	vmovups	192(%r10), %zmm20
	vmovups	192(%r15), %zmm24
	vsubps	%zmm17, %zmm21, %zmm21
	vsubps	%zmm18, %zmm22, %zmm22
	vsubps	%zmm19, %zmm23, %zmm23
	vsubps	%zmm20, %zmm24, %zmm24
	vfmadd213ps	%zmm17, %zmm16, %zmm21
	vfmadd213ps	%zmm18, %zmm16, %zmm22
	vfmadd213ps	%zmm20, %zmm16, %zmm24
	vfmadd213ps	%zmm19, %zmm16, %zmm23
	vaddps	(%r9), %zmm21, %zmm17
	vaddps	64(%r9), %zmm22, %zmm20
	vaddps	128(%r9), %zmm23, %zmm21
	vaddps	192(%r9), %zmm24, %zmm19
	vmovups	%zmm17, (%r13)
	vmovups	%zmm20, 64(%r13)
	vmovups	%zmm21, 128(%r13)
	vmovups	%zmm19, 192(%r13)
.LBB0_15:
	movl	%ebp, %edi
	xorl	$64, %edi
	vmovaps	%zmm0, %zmm25
	vmovaps	%zmm6, %zmm26
	addq	16(%rsp), %rdx
	addq	144(%rsp), %rsi
	addq	$64, %rax
	vmovups	192(%rbx,%rdi,4), %zmm18
	vmovups	64(%rbx,%rdi,4), %zmm22
	vmovups	128(%rbx,%rdi,4), %zmm23
	vmovups	(%rbx,%rdi,4), %zmm17
	movq	512(%rsp), %rdi
	vsubps	%zmm19, %zmm18, %zmm24
	vbroadcastss	(%rdi,%rcx,4), %zmm18
	vsubps	%zmm21, %zmm23, %zmm23
	vsubps	%zmm20, %zmm22, %zmm22
	vfmadd213ps	%zmm19, %zmm18, %zmm24
	vfmadd213ps	%zmm21, %zmm18, %zmm23
	vfmadd213ps	%zmm20, %zmm18, %zmm22
	vcvttps2dq	%zmm24, %zmm19
	vcvttps2dq	%zmm23, %zmm21
	vcvttps2dq	%zmm22, %zmm20
	vpandd	%zmm11, %zmm19, %zmm24
	vpternlogd	$236, %zmm13, %zmm15, %zmm19
	vpandd	%zmm11, %zmm21, %zmm23
	vpternlogd	$236, %zmm13, %zmm15, %zmm21
	vpandd	%zmm11, %zmm20, %zmm22
	vpternlogd	$236, %zmm13, %zmm15, %zmm20
	vfmadd213ps	%zmm1, %zmm19, %zmm25
	vfmadd213ps	%zmm2, %zmm19, %zmm25
	vfmadd213ps	%zmm3, %zmm19, %zmm25
	vfmadd213ps	%zmm4, %zmm19, %zmm25
	vpaddd	%zmm25, %zmm24, %zmm19
	vmovdqa64	%zmm15, %zmm24
	vaddps	%zmm14, %zmm19, %zmm19
	vpternlogd	$248, %zmm13, %zmm19, %zmm24
	vaddps	%zmm5, %zmm24, %zmm25
	vpsubd	%zmm24, %zmm19, %zmm19
	vcvtdq2ps	%zmm19, %zmm19
	vfnmadd213ps	%zmm7, %zmm25, %zmm26
	vfmadd213ps	%zmm8, %zmm25, %zmm26
	vfmadd213ps	%zmm9, %zmm25, %zmm26
	vfmadd213ps	%zmm10, %zmm25, %zmm26
	vfmadd213ps	%zmm12, %zmm25, %zmm26
	vfmadd231ps	%zmm26, %zmm25, %zmm19
	vmovaps	%zmm0, %zmm25
	vfmadd213ps	%zmm1, %zmm21, %zmm25
	vmulps	192(%r8), %zmm19, %zmm19
	vfmadd213ps	%zmm2, %zmm21, %zmm25
	vfmadd213ps	%zmm3, %zmm21, %zmm25
	vfmadd213ps	%zmm4, %zmm21, %zmm25
	vpaddd	%zmm25, %zmm23, %zmm21
	vmovdqa64	%zmm15, %zmm23
	vmovaps	%zmm6, %zmm25
	vaddps	%zmm14, %zmm21, %zmm21
	vpternlogd	$248, %zmm13, %zmm21, %zmm23
	vaddps	%zmm5, %zmm23, %zmm24
	vpsubd	%zmm23, %zmm21, %zmm21
	vcvtdq2ps	%zmm21, %zmm21
	vfnmadd213ps	%zmm7, %zmm24, %zmm25
	vfmadd213ps	%zmm8, %zmm24, %zmm25
	vfmadd213ps	%zmm9, %zmm24, %zmm25
	vfmadd213ps	%zmm10, %zmm24, %zmm25
	vfmadd213ps	%zmm12, %zmm24, %zmm25
	vfmadd231ps	%zmm25, %zmm24, %zmm21
	vmovaps	%zmm0, %zmm24
	vfmadd213ps	%zmm1, %zmm20, %zmm24
	vfmadd132ps	128(%r8), %zmm19, %zmm21
	vfmadd213ps	%zmm2, %zmm20, %zmm24
	vfmadd213ps	%zmm3, %zmm20, %zmm24
	vfmadd213ps	%zmm4, %zmm20, %zmm24
	vpaddd	%zmm24, %zmm22, %zmm20
	vmovdqa64	%zmm15, %zmm22
	vmovaps	%zmm6, %zmm24
	vaddps	%zmm14, %zmm20, %zmm20
	vpternlogd	$248, %zmm13, %zmm20, %zmm22
	vaddps	%zmm5, %zmm22, %zmm23
	vpsubd	%zmm22, %zmm20, %zmm20
	vmovaps	%zmm0, %zmm22
	vcvtdq2ps	%zmm20, %zmm20
	vfnmadd213ps	%zmm7, %zmm23, %zmm24
	vfmadd213ps	%zmm8, %zmm23, %zmm24
	vfmadd213ps	%zmm9, %zmm23, %zmm24
	vfmadd213ps	%zmm10, %zmm23, %zmm24
	vfmadd213ps	%zmm12, %zmm23, %zmm24
	vfmadd231ps	%zmm24, %zmm23, %zmm20
	vmovups	(%rbx,%rbp,4), %zmm23
	vfmadd231ps	64(%r8), %zmm20, %zmm21
	vsubps	%zmm23, %zmm17, %zmm17
	vfmadd213ps	%zmm23, %zmm18, %zmm17
	vmovaps	%zmm6, %zmm23
	vcvttps2dq	%zmm17, %zmm17
	vpandd	%zmm11, %zmm17, %zmm18
	vpternlogd	$236, %zmm13, %zmm15, %zmm17
	vfmadd213ps	%zmm1, %zmm17, %zmm22
	vfmadd213ps	%zmm2, %zmm17, %zmm22
	vfmadd213ps	%zmm3, %zmm17, %zmm22
	vfmadd213ps	%zmm4, %zmm17, %zmm22
	vpaddd	%zmm22, %zmm18, %zmm17
	vmovdqa64	%zmm15, %zmm18
	vaddps	%zmm14, %zmm17, %zmm17
	vpternlogd	$248, %zmm13, %zmm17, %zmm18
	vaddps	%zmm5, %zmm18, %zmm22
	vpsubd	%zmm18, %zmm17, %zmm17
	vcvtdq2ps	%zmm17, %zmm17
	vfnmadd213ps	%zmm7, %zmm22, %zmm23
	vfmadd213ps	%zmm8, %zmm22, %zmm23
	vfmadd213ps	%zmm9, %zmm22, %zmm23
	vfmadd213ps	%zmm10, %zmm22, %zmm23
	vfmadd213ps	%zmm12, %zmm22, %zmm23
	vfmadd231ps	%zmm23, %zmm22, %zmm17
	vfmadd231ps	(%r8), %zmm17, %zmm21
	vextractf64x4	$1, %zmm21, %ymm17
	vaddps	%zmm21, %zmm17, %zmm17
	vextractf32x4	$1, %ymm17, %xmm18
	vaddps	%xmm17, %xmm18, %xmm17
	vshufpd	$1, %xmm17, %xmm17, %xmm18
	vaddps	%xmm17, %xmm18, %xmm17
	vmovshdup	%xmm17, %xmm18
	vaddss	%xmm17, %xmm18, %xmm17
	vmovss	%xmm17, (%r14,%rcx,4)
	incq	%rcx
	cmpq	%rcx, 592(%rsp)
	je	.LBB0_16
.LBB0_9:
	movq	%rcx, %r9
	imulq	392(%rsp), %r9
	movl	%ecx, %ebp
	shll	$6, %ebp
	andl	$64, %ebp
	leaq	(%rbx,%rbp,4), %r13
	movq	%r13, %r10
	leaq	(%r11,%r9,4), %r9
	subq	%r9, %r10
	cmpq	$256, %r10
	jb	.LBB0_12
	movq	%rcx, %r15
	imulq	232(%rsp), %r15
	movq	%r13, %rdi
	leaq	(%r12,%r15,4), %r10
	subq	%r10, %rdi
	cmpq	$256, %rdi
	jb	.LBB0_12
	movq	136(%rsp), %rdi
	leaq	(%rdi,%r15,4), %r15
	movq	%r13, %rdi
	subq	%r15, %rdi
	cmpq	$255, %rdi
	ja	.LBB0_18
.LBB0_12:
	movl	%eax, %edi
	andl	$64, %edi
	leaq	28(%rbx), %r9
	xorl	%r15d, %r15d
	leaq	(%r9,%rdi,4), %r9
	movq	32(%rsp), %rdi
	leaq	(%rsi,%rdi), %r10
	.p2align	4
.LBB0_13:
	vmovss	-28(%rsi,%r15), %xmm17
	vmovss	-28(%r10,%r15), %xmm18
	vsubss	%xmm17, %xmm18, %xmm18
	vfmadd213ss	%xmm17, %xmm16, %xmm18
	vaddss	-28(%rdx,%r15), %xmm18, %xmm17
	vmovss	%xmm17, -28(%r9,%r15)
	vmovss	-24(%rsi,%r15), %xmm17
	vmovss	-24(%r10,%r15), %xmm18
	vsubss	%xmm17, %xmm18, %xmm18
	vfmadd213ss	%xmm17, %xmm16, %xmm18
	vaddss	-24(%rdx,%r15), %xmm18, %xmm17
	vmovss	%xmm17, -24(%r9,%r15)
	vmovss	-20(%rsi,%r15), %xmm17
	vmovss	-20(%r10,%r15), %xmm18
	vsubss	%xmm17, %xmm18, %xmm18
	vfmadd213ss	%xmm17, %xmm16, %xmm18
	vaddss	-20(%rdx,%r15), %xmm18, %xmm17
	vmovss	%xmm17, -20(%r9,%r15)
	vmovss	-16(%rsi,%r15), %xmm17
	vmovss	-16(%r10,%r15), %xmm18
	vsubss	%xmm17, %xmm18, %xmm18
	vfmadd213ss	%xmm17, %xmm16, %xmm18
	vaddss	-16(%rdx,%r15), %xmm18, %xmm17
	vmovss	%xmm17, -16(%r9,%r15)
	vmovss	-12(%rsi,%r15), %xmm17
	vmovss	-12(%r10,%r15), %xmm18
	vsubss	%xmm17, %xmm18, %xmm18
	vfmadd213ss	%xmm17, %xmm16, %xmm18
	vaddss	-12(%rdx,%r15), %xmm18, %xmm17
	vmovss	%xmm17, -12(%r9,%r15)
	vmovss	-8(%rsi,%r15), %xmm17
	vmovss	-8(%r10,%r15), %xmm18
	vsubss	%xmm17, %xmm18, %xmm18
	vfmadd213ss	%xmm17, %xmm16, %xmm18
	vaddss	-8(%rdx,%r15), %xmm18, %xmm17
	vmovss	%xmm17, -8(%r9,%r15)
	vmovss	-4(%rsi,%r15), %xmm17
	vmovss	-4(%r10,%r15), %xmm18
	vsubss	%xmm17, %xmm18, %xmm18
	vfmadd213ss	%xmm17, %xmm16, %xmm18
	vaddss	-4(%rdx,%r15), %xmm18, %xmm17
	vmovss	%xmm17, -4(%r9,%r15)
	vmovss	(%rsi,%r15), %xmm17
	vmovss	(%r10,%r15), %xmm18
	vsubss	%xmm17, %xmm18, %xmm18
	vfmadd213ss	%xmm17, %xmm16, %xmm18
	vaddss	(%rdx,%r15), %xmm18, %xmm17
	vmovss	%xmm17, (%r9,%r15)
	addq	$32, %r15
	cmpq	$256, %r15
	jne	.LBB0_13
	vmovups	64(%r13), %zmm20
	vmovups	128(%r13), %zmm21
	vmovups	192(%r13), %zmm19
	jmp	.LBB0_15
.LBB0_1:
	movq	16(%rsp), %rcx
	movabsq	$.const.picklebuf.ba289d81f05c7020f3477c15734804df65abe209, %rax
	movq	%rax, (%rcx)
	movl	$1, %eax
	jmp	.LBB0_3
.Lfunc_end0:
	.size	_ZN8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE, .Lfunc_end0-_ZN8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE
	.cfi_endproc

	.globl	_ZN7cpython8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE
	.p2align	4
	.type	_ZN7cpython8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE,@function
_ZN7cpython8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE:
	.cfi_startproc
	pushq	%rbp
	.cfi_def_cfa_offset 16
	pushq	%r15
	.cfi_def_cfa_offset 24
	pushq	%r14
	.cfi_def_cfa_offset 32
	pushq	%r13
	.cfi_def_cfa_offset 40
	pushq	%r12
	.cfi_def_cfa_offset 48
	pushq	%rbx
	.cfi_def_cfa_offset 56
	subq	$696, %rsp
	.cfi_def_cfa_offset 752
	.cfi_offset %rbx, -56
	.cfi_offset %r12, -48
	.cfi_offset %r13, -40
	.cfi_offset %r14, -32
	.cfi_offset %r15, -24
	.cfi_offset %rbp, -16
	leaq	112(%rsp), %r10
	movq	%rsi, %rdi
	xorl	%ebx, %ebx
	leaq	120(%rsp), %r11
	leaq	128(%rsp), %r14
	leaq	136(%rsp), %r15
	movabsq	$.const.shear, %rsi
	movabsq	$PyArg_UnpackTuple, %r12
	leaq	152(%rsp), %r8
	leaq	144(%rsp), %r9
	movl	$6, %edx
	movl	$6, %ecx
	xorl	%eax, %eax
	pushq	%r10
	.cfi_adjust_cfa_offset 8
	pushq	%r11
	.cfi_adjust_cfa_offset 8
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	callq	*%r12
	addq	$32, %rsp
	.cfi_adjust_cfa_offset -32
	vxorps	%xmm0, %xmm0, %xmm0
	vmovups	%ymm0, 224(%rsp)
	vmovups	%ymm0, 160(%rsp)
	vmovups	%ymm0, 248(%rsp)
	vmovups	%ymm0, 184(%rsp)
	vxorps	%xmm0, %xmm0, %xmm0
	vmovups	%zmm0, 368(%rsp)
	vmovups	%zmm0, 392(%rsp)
	movq	$0, 48(%rsp)
	testl	%eax, %eax
	je	.LBB1_16
	movabsq	$_ZN08NumbaEnv8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE, %rax
	cmpq	$0, (%rax)
	je	.LBB1_20
	movq	152(%rsp), %rdi
	movabsq	$NRT_adapt_ndarray_from_python, %rbx
	leaq	560(%rsp), %rsi
	vmovups	%zmm0, 560(%rsp)
	vmovups	%zmm0, 584(%rsp)
	vzeroupper
	callq	*%rbx
	cmpq	$4, 584(%rsp)
	setne	%cl
	testl	%eax, %eax
	setne	%bpl
	orb	%cl, %bpl
	cmpb	$1, %bpl
	je	.LBB1_22
	testb	%bpl, %bpl
	jne	.LBB1_23
.LBB1_4:
	movq	144(%rsp), %rdi
	movq	560(%rsp), %r12
	movq	592(%rsp), %r13
	movq	608(%rsp), %r15
	movq	616(%rsp), %r14
	leaq	288(%rsp), %rsi
	vxorps	%xmm0, %xmm0, %xmm0
	vmovups	%zmm0, 288(%rsp)
	movq	$0, 352(%rsp)
	vzeroupper
	callq	*%rbx
	cmpq	$4, 312(%rsp)
	setne	%cl
	testl	%eax, %eax
	setne	%bpl
	orb	%cl, %bpl
	jne	.LBB1_24
	testb	%bpl, %bpl
	jne	.LBB1_32
.LBB1_6:
	movq	320(%rsp), %rax
	movq	136(%rsp), %rdi
	movq	%r14, 16(%rsp)
	movq	288(%rsp), %r14
	leaq	464(%rsp), %rsi
	vxorps	%xmm0, %xmm0, %xmm0
	vmovups	%zmm0, 464(%rsp)
	vmovups	%zmm0, 488(%rsp)
	movq	%rax, 8(%rsp)
	movq	336(%rsp), %rax
	movq	%rax, 104(%rsp)
	vzeroupper
	callq	*%rbx
	cmpq	$4, 488(%rsp)
	setne	%cl
	testl	%eax, %eax
	setne	%bpl
	orb	%cl, %bpl
	jne	.LBB1_25
	testb	%bpl, %bpl
	jne	.LBB1_31
.LBB1_8:
	movq	496(%rsp), %rax
	movq	512(%rsp), %rcx
	movq	128(%rsp), %rdi
	movq	464(%rsp), %rbp
	leaq	224(%rsp), %rsi
	vxorps	%xmm0, %xmm0, %xmm0
	vmovups	%ymm0, 224(%rsp)
	vmovups	%ymm0, 248(%rsp)
	movq	%rax, 96(%rsp)
	movq	520(%rsp), %rax
	movq	%rcx, 88(%rsp)
	movq	%rax, 80(%rsp)
	vzeroupper
	callq	*%rbx
	testl	%eax, %eax
	jne	.LBB1_26
	cmpq	$4, 248(%rsp)
	jne	.LBB1_26
	movq	224(%rsp), %rax
	movq	120(%rsp), %rdi
	leaq	160(%rsp), %rsi
	vxorps	%xmm0, %xmm0, %xmm0
	vmovups	%ymm0, 160(%rsp)
	vmovups	%ymm0, 184(%rsp)
	movq	%rax, 40(%rsp)
	movq	256(%rsp), %rax
	movq	%rax, 72(%rsp)
	vzeroupper
	callq	*%rbx
	testl	%eax, %eax
	jne	.LBB1_27
	cmpq	$4, 184(%rsp)
	jne	.LBB1_27
	movq	112(%rsp), %rdi
	movq	%r14, 24(%rsp)
	movq	%r12, 32(%rsp)
	movq	160(%rsp), %r12
	movq	192(%rsp), %r14
	leaq	368(%rsp), %rsi
	vxorps	%xmm0, %xmm0, %xmm0
	vmovups	%zmm0, 368(%rsp)
	movq	%r13, 64(%rsp)
	vmovups	%zmm0, 392(%rsp)
	vzeroupper
	callq	*%rbx
	testl	%eax, %eax
	jne	.LBB1_28
	cmpq	$4, 392(%rsp)
	jne	.LBB1_28
	vmovups	400(%rsp), %ymm0
	movq	368(%rsp), %r13
	movabsq	$PyEval_SaveThread, %rax
	movq	%r13, 56(%rsp)
	vmovups	%ymm0, 656(%rsp)
	vzeroupper
	callq	*%rax
	movq	%rax, %rbx
	subq	$416, %rsp
	.cfi_adjust_cfa_offset 416
	vmovups	1072(%rsp), %ymm0
	leaq	696(%rsp), %rdi
	vmovups	%ymm0, 360(%rsp)
	movq	%r13, 328(%rsp)
	movq	%r15, 16(%rsp)
	movq	%r12, 272(%rsp)
	movq	%r14, 304(%rsp)
	movq	%rbp, 128(%rsp)
	movq	496(%rsp), %rdx
	movq	504(%rsp), %rsi
	movq	488(%rsp), %rax
	movq	456(%rsp), %r13
	movq	448(%rsp), %r15
	movq	%rdx, 184(%rsp)
	movq	512(%rsp), %rdx
	movq	%rsi, 176(%rsp)
	movq	520(%rsp), %rsi
	movq	%rax, 248(%rsp)
	movabsq	$_ZN8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE, %rax
	movq	%r13, 216(%rsp)
	movq	%rdx, 160(%rsp)
	movq	424(%rsp), %rdx
	movq	%rsi, 104(%rsp)
	movq	432(%rsp), %rsi
	movq	%r12, 424(%rsp)
	movq	440(%rsp), %r12
	movq	%rdx, 88(%rsp)
	movq	480(%rsp), %rdx
	movq	%rsi, 24(%rsp)
	leaq	464(%rsp), %rsi
	movq	%r12, 56(%rsp)
	movq	%rdx, (%rsp)
	movq	%r15, %rdx
	vzeroupper
	callq	*%rax
	addq	$416, %rsp
	.cfi_adjust_cfa_offset -416
	movq	48(%rsp), %rcx
	movl	%eax, %r14d
	movabsq	$PyEval_RestoreThread, %rax
	movq	%rbx, %rdi
	movq	%rcx, 16(%rsp)
	callq	*%rax
	movabsq	$NRT_decref, %rbx
	movq	%r15, %rdi
	callq	*%rbx
	movq	%r12, %rdi
	callq	*%rbx
	movq	%rbp, %rdi
	callq	*%rbx
	movq	%r13, %rdi
	callq	*%rbx
	movq	8(%rsp), %rdi
	callq	*%rbx
	movq	56(%rsp), %rdi
	callq	*%rbx
	testl	%r14d, %r14d
	jne	.LBB1_17
	movabsq	$_Py_NoneStruct, %rbx
	movabsq	$Py_IncRef, %rax
	movq	%rbx, %rdi
	callq	*%rax
.LBB1_16:
	movq	%rbx, %rax
	addq	$696, %rsp
	.cfi_def_cfa_offset 56
	popq	%rbx
	.cfi_def_cfa_offset 48
	popq	%r12
	.cfi_def_cfa_offset 40
	popq	%r13
	.cfi_def_cfa_offset 32
	popq	%r14
	.cfi_def_cfa_offset 24
	popq	%r15
	.cfi_def_cfa_offset 16
	popq	%rbp
	.cfi_def_cfa_offset 8
	vzeroupper
	retq
.LBB1_17:
	.cfi_def_cfa_offset 752
	movabsq	$PyErr_Clear, %rax
	callq	*%rax
	movq	16(%rsp), %r14
	movl	8(%r14), %esi
	movq	(%r14), %rdi
	cmpl	$0, 32(%r14)
	jle	.LBB1_33
	movslq	%esi, %rsi
	movabsq	$PyBytes_FromStringAndSize, %rax
	callq	*%rax
	movq	16(%r14), %rdi
	movq	%rax, %rbx
	callq	*24(%r14)
	testq	%rax, %rax
	je	.LBB1_38
	movabsq	$numba_runtime_build_excinfo_struct, %rcx
	movq	%rbx, %rdi
	movq	%rax, %rsi
	callq	*%rcx
	movabsq	$NRT_Free, %r15
	movq	%r14, %rdi
	movq	%rax, %rbx
	callq	*%r15
	jmp	.LBB1_34
.LBB1_20:
	movabsq	$PyExc_RuntimeError, %rdi
	movabsq	$".const.missing Environment: _ZN08NumbaEnv8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE", %rsi
.LBB1_21:
	movabsq	$PyErr_SetString, %rax
	vzeroupper
	callq	*%rax
	xorl	%ebx, %ebx
	jmp	.LBB1_16
.LBB1_22:
	movabsq	$PyExc_TypeError, %rdi
	movabsq	$".const.can't unbox array from PyObject into native value.  The object maybe of a different type", %rsi
	movabsq	$PyErr_SetString, %rax
	callq	*%rax
	testb	%bpl, %bpl
	je	.LBB1_4
	jmp	.LBB1_23
.LBB1_24:
	movabsq	$PyExc_TypeError, %rdi
	movabsq	$".const.can't unbox array from PyObject into native value.  The object maybe of a different type", %rsi
	movabsq	$PyErr_SetString, %rax
	callq	*%rax
	testb	%bpl, %bpl
	je	.LBB1_6
	jmp	.LBB1_32
.LBB1_25:
	movabsq	$PyExc_TypeError, %rdi
	movabsq	$".const.can't unbox array from PyObject into native value.  The object maybe of a different type", %rsi
	movabsq	$PyErr_SetString, %rax
	callq	*%rax
	testb	%bpl, %bpl
	je	.LBB1_8
	jmp	.LBB1_31
.LBB1_26:
	movabsq	$PyExc_TypeError, %rdi
	movabsq	$".const.can't unbox array from PyObject into native value.  The object maybe of a different type", %rsi
	movabsq	$PyErr_SetString, %rax
	callq	*%rax
	jmp	.LBB1_30
.LBB1_27:
	movabsq	$PyExc_TypeError, %rdi
	movabsq	$".const.can't unbox array from PyObject into native value.  The object maybe of a different type", %rsi
	movabsq	$PyErr_SetString, %rax
	callq	*%rax
	jmp	.LBB1_29
.LBB1_28:
	movabsq	$PyExc_TypeError, %rdi
	movabsq	$".const.can't unbox array from PyObject into native value.  The object maybe of a different type", %rsi
	movabsq	$PyErr_SetString, %rax
	callq	*%rax
	movabsq	$NRT_decref, %rax
	movq	%r12, %rdi
	callq	*%rax
	movq	32(%rsp), %r12
	movq	24(%rsp), %r14
.LBB1_29:
	movq	40(%rsp), %rdi
	movabsq	$NRT_decref, %rax
	callq	*%rax
.LBB1_30:
	movabsq	$NRT_decref, %rax
	movq	%rbp, %rdi
	callq	*%rax
.LBB1_31:
	movabsq	$NRT_decref, %rax
	movq	%r14, %rdi
	callq	*%rax
.LBB1_32:
	movabsq	$NRT_decref, %rax
	movq	%r12, %rdi
	jmp	.LBB1_36
.LBB1_33:
	movq	16(%r14), %rdx
	movabsq	$numba_unpickle, %rax
	callq	*%rax
	movq	%rax, %rbx
.LBB1_34:
	testq	%rbx, %rbx
	je	.LBB1_23
	movabsq	$numba_do_raise, %rax
	movq	%rbx, %rdi
.LBB1_36:
	callq	*%rax
.LBB1_23:
	xorl	%ebx, %ebx
	jmp	.LBB1_16
.LBB1_38:
	movabsq	$PyExc_RuntimeError, %rdi
	movabsq	$".const.Error creating Python tuple from runtime exception arguments", %rsi
	jmp	.LBB1_21
.Lfunc_end1:
	.size	_ZN7cpython8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE, .Lfunc_end1-_ZN7cpython8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE
	.cfi_endproc

	.globl	cfunc._ZN8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE
	.p2align	4
	.type	cfunc._ZN8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE,@function
cfunc._ZN8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE:
	.cfi_startproc
	pushq	%r15
	.cfi_def_cfa_offset 16
	pushq	%r14
	.cfi_def_cfa_offset 24
	pushq	%rbx
	.cfi_def_cfa_offset 32
	subq	$448, %rsp
	.cfi_def_cfa_offset 480
	.cfi_offset %rbx, -32
	.cfi_offset %r14, -24
	.cfi_offset %r15, -16
	vmovaps	640(%rsp), %xmm1
	vmovups	824(%rsp), %ymm2
	vmovaps	480(%rsp), %xmm0
	movq	%rdi, %rdx
	movq	520(%rsp), %rax
	movq	568(%rsp), %rsi
	movq	592(%rsp), %rdi
	movq	680(%rsp), %r10
	movq	712(%rsp), %r11
	movq	736(%rsp), %rbx
	movq	768(%rsp), %r14
	movq	792(%rsp), %r15
	movq	552(%rsp), %rcx
	movq	624(%rsp), %r9
	movq	$0, 440(%rsp)
	movq	$0, 432(%rsp)
	vmovups	%ymm2, 360(%rsp)
	movq	%r15, 328(%rsp)
	movq	%r14, 304(%rsp)
	movq	%rbx, 272(%rsp)
	movq	%r11, 248(%rsp)
	movq	%r10, 216(%rsp)
	vmovups	%xmm1, 176(%rsp)
	movq	%rdi, 128(%rsp)
	movq	%rsi, 104(%rsp)
	movq	%rax, 56(%rsp)
	movabsq	$_ZN8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE, %rax
	leaq	440(%rsp), %rdi
	leaq	432(%rsp), %rsi
	movq	%r9, 160(%rsp)
	movq	%rcx, 88(%rsp)
	vmovups	%xmm0, 16(%rsp)
	movq	%r8, (%rsp)
	vzeroupper
	callq	*%rax
	movl	%eax, %ecx
	movq	432(%rsp), %rbx
	movq	440(%rsp), %rax
	movl	$0, 428(%rsp)
	testl	%ecx, %ecx
	jne	.LBB2_1
.LBB2_5:
	addq	$448, %rsp
	.cfi_def_cfa_offset 32
	popq	%rbx
	.cfi_def_cfa_offset 24
	popq	%r14
	.cfi_def_cfa_offset 16
	popq	%r15
	.cfi_def_cfa_offset 8
	retq
.LBB2_1:
	.cfi_def_cfa_offset 480
	movabsq	$numba_gil_ensure, %r14
	leaq	428(%rsp), %rdi
	movq	%rax, %r15
	callq	*%r14
	movabsq	$PyErr_Clear, %rax
	callq	*%rax
	movl	8(%rbx), %esi
	movq	(%rbx), %rdi
	cmpl	$0, 32(%rbx)
	jle	.LBB2_6
	movslq	%esi, %rsi
	movabsq	$PyBytes_FromStringAndSize, %rax
	callq	*%rax
	movq	16(%rbx), %rdi
	movq	%rax, %r14
	callq	*24(%rbx)
	testq	%rax, %rax
	je	.LBB2_3
	movabsq	$numba_runtime_build_excinfo_struct, %rcx
	movq	%r14, %rdi
	movq	%rax, %rsi
	callq	*%rcx
	movq	%rax, %r14
	movabsq	$NRT_Free, %rax
	movq	%rbx, %rdi
	callq	*%rax
	jmp	.LBB2_7
.LBB2_6:
	movq	16(%rbx), %rdx
	movabsq	$numba_unpickle, %rax
	callq	*%rax
	movq	%rax, %r14
.LBB2_7:
	testq	%r14, %r14
	je	.LBB2_4
	movabsq	$numba_do_raise, %rax
	movq	%r14, %rdi
	callq	*%rax
.LBB2_4:
	movabsq	$".const.<numba.core.cpu.CPUContext>", %rdi
	movabsq	$PyUnicode_FromString, %rax
	callq	*%rax
	movabsq	$PyErr_WriteUnraisable, %r14
	movq	%rax, %rbx
	movq	%rbx, %rdi
	callq	*%r14
	movabsq	$Py_DecRef, %rax
	movq	%rbx, %rdi
	callq	*%rax
	movabsq	$numba_gil_release, %rax
	leaq	428(%rsp), %rdi
	callq	*%rax
	movq	%r15, %rax
	jmp	.LBB2_5
.LBB2_3:
	movabsq	$PyExc_RuntimeError, %rdi
	movabsq	$".const.Error creating Python tuple from runtime exception arguments.1", %rsi
	movabsq	$PyErr_SetString, %rax
	callq	*%rax
	xorl	%eax, %eax
	jmp	.LBB2_5
.Lfunc_end2:
	.size	cfunc._ZN8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE, .Lfunc_end2-cfunc._ZN8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE
	.cfi_endproc

	.weak	NRT_decref
	.p2align	4
	.type	NRT_decref,@function
NRT_decref:
	.cfi_startproc
	testq	%rdi, %rdi
	je	.LBB3_2
	#MEMBARRIER
	lock		decq	(%rdi)
	je	.LBB3_3
.LBB3_2:
	retq
.LBB3_3:
	movabsq	$NRT_MemInfo_call_dtor, %rax
	#MEMBARRIER
	jmpq	*%rax
.Lfunc_end3:
	.size	NRT_decref, .Lfunc_end3-NRT_decref
	.cfi_endproc

	.weak	NRT_incref
	.p2align	4
	.type	NRT_incref,@function
NRT_incref:
	testq	%rdi, %rdi
	je	.LBB4_2
	lock		incq	(%rdi)
.LBB4_2:
	retq
.Lfunc_end4:
	.size	NRT_incref, .Lfunc_end4-NRT_incref

	.type	.const.shear,@object
	.section	.lrodata,"al",@progbits
.const.shear:
	.asciz	"shear"
	.size	.const.shear, 6

	.type	_ZN08NumbaEnv8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE,@object
	.comm	_ZN08NumbaEnv8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE,8,8
	.type	".const.missing Environment: _ZN08NumbaEnv8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE",@object
	.p2align	4, 0x0
".const.missing Environment: _ZN08NumbaEnv8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE":
	.asciz	"missing Environment: _ZN08NumbaEnv8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE"
	.size	".const.missing Environment: _ZN08NumbaEnv8__main__5shearB2v8B40c8tJTIeFIjxB2IKSgI4CrvQClQZ6FcpCShpgEU0AE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi2E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi3E1C7mutable7alignedE", 284

	.type	".const.can't unbox array from PyObject into native value.  The object maybe of a different type",@object
	.p2align	4, 0x0
".const.can't unbox array from PyObject into native value.  The object maybe of a different type":
	.asciz	"can't unbox array from PyObject into native value.  The object maybe of a different type"
	.size	".const.can't unbox array from PyObject into native value.  The object maybe of a different type", 89

	.type	".const.Error creating Python tuple from runtime exception arguments",@object
	.p2align	4, 0x0
".const.Error creating Python tuple from runtime exception arguments":
	.asciz	"Error creating Python tuple from runtime exception arguments"
	.size	".const.Error creating Python tuple from runtime exception arguments", 61

	.type	".const.Error creating Python tuple from runtime exception arguments.1",@object
	.p2align	4, 0x0
".const.Error creating Python tuple from runtime exception arguments.1":
	.asciz	"Error creating Python tuple from runtime exception arguments"
	.size	".const.Error creating Python tuple from runtime exception arguments.1", 61

	.type	".const.<numba.core.cpu.CPUContext>",@object
	.p2align	4, 0x0
".const.<numba.core.cpu.CPUContext>":
	.asciz	"<numba.core.cpu.CPUContext>"
	.size	".const.<numba.core.cpu.CPUContext>", 28

	.type	_ZN08NumbaEnv5numba2np8arrayobj11ol_np_empty12_3clocals_3e4implB2v9B42c8tJTIeFIjxB2IKSgI4CrvQClcaMQ5hEEUSJJgA_3dE8UniTupleIxLi2EE18class_28float32_29,@object
	.comm	_ZN08NumbaEnv5numba2np8arrayobj11ol_np_empty12_3clocals_3e4implB2v9B42c8tJTIeFIjxB2IKSgI4CrvQClcaMQ5hEEUSJJgA_3dE8UniTupleIxLi2EE18class_28float32_29,8,8
	.type	_ZN08NumbaEnv5numba2np8arrayobj15_call_allocatorB2v3B42c8tJTC_2fWQA93W1AaAIYBPIqRBFCjDSZRVAJmaQIAEN29typeref_5b_3cclass_20_27numba4core5types8npytypes14Array_27_3e_5dExj,@object
	.comm	_ZN08NumbaEnv5numba2np8arrayobj15_call_allocatorB2v3B42c8tJTC_2fWQA93W1AaAIYBPIqRBFCjDSZRVAJmaQIAEN29typeref_5b_3cclass_20_27numba4core5types8npytypes14Array_27_3e_5dExj,8,8
	.type	_ZN08NumbaEnv5numba2np8arrayobj18_ol_array_allocate12_3clocals_3e4implB2v4B42c8tJTIeFIjxB2IKSgI4CrvQClcaMQ5hEEUSJJgA_3dEN29typeref_5b_3cclass_20_27numba4core5types8npytypes14Array_27_3e_5dExj,@object
	.comm	_ZN08NumbaEnv5numba2np8arrayobj18_ol_array_allocate12_3clocals_3e4implB2v4B42c8tJTIeFIjxB2IKSgI4CrvQClcaMQ5hEEUSJJgA_3dEN29typeref_5b_3cclass_20_27numba4core5types8npytypes14Array_27_3e_5dExj,8,8
	.type	.const.pickledata.ba289d81f05c7020f3477c15734804df65abe209,@object
	.p2align	4, 0x0
.const.pickledata.ba289d81f05c7020f3477c15734804df65abe209:
	.ascii	"\200\004\225K\000\000\000\000\000\000\000\214\bbuiltins\224\214\013MemoryError\224\223\224\214'Allocation failed (probably too large).\224\205\224N\207\224."
	.size	.const.pickledata.ba289d81f05c7020f3477c15734804df65abe209, 86

	.type	.const.pickledata.ba289d81f05c7020f3477c15734804df65abe209.sha1,@object
	.p2align	4, 0x0
.const.pickledata.ba289d81f05c7020f3477c15734804df65abe209.sha1:
	.ascii	"\272(\235\201\360\\p \363G|\025sH\004\337e\253\342\t"
	.size	.const.pickledata.ba289d81f05c7020f3477c15734804df65abe209.sha1, 20

	.type	.const.picklebuf.ba289d81f05c7020f3477c15734804df65abe209,@object
	.p2align	4, 0x0
.const.picklebuf.ba289d81f05c7020f3477c15734804df65abe209:
	.quad	.const.pickledata.ba289d81f05c7020f3477c15734804df65abe209
	.long	86
	.zero	4
	.quad	.const.pickledata.ba289d81f05c7020f3477c15734804df65abe209.sha1
	.quad	0
	.long	0
	.zero	4
	.size	.const.picklebuf.ba289d81f05c7020f3477c15734804df65abe209, 40

	.type	_ZN08NumbaEnv8__main__3mixB3v10B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZpAdYi4h_2boEBhKYpQkAE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi1E1C7mutable7alignedE,@object
	.comm	_ZN08NumbaEnv8__main__3mixB3v10B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZpAdYi4h_2boEBhKYpQkAE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi1E1C7mutable7alignedE,8,8
	.type	_ZN08NumbaEnv8__main__3dotB3v11B88c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9XqRcCUUpyfrK6joJ5XXAWikvPzSooSk0vUazWBOhGpAWoWMNjALE0AE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi1E1C7mutable7alignedE,@object
	.comm	_ZN08NumbaEnv8__main__3dotB3v11B88c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9XqRcCUUpyfrK6joJ5XXAWikvPzSooSk0vUazWBOhGpAWoWMNjALE0AE5ArrayIfLi1E1C7mutable7alignedE5ArrayIfLi1E1C7mutable7alignedEf5ArrayIfLi1E1C7mutable7alignedE,8,8
	.type	_ZN08NumbaEnv8__main__2exB3v12B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZpAdYi4h_2boEBhKYpQkAEf,@object
	.comm	_ZN08NumbaEnv8__main__2exB3v12B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZpAdYi4h_2boEBhKYpQkAEf,8,8
	.type	_ZN08NumbaEnv8__main__2lgB2v5B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZpAdYi4h_2boEBhKYpQkAEf,@object
	.comm	_ZN08NumbaEnv8__main__2lgB2v5B70c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZpAdYi4h_2boEBhKYpQkAEf,8,8
	.type	_ZN08NumbaEnv5numba7cpython7numbers11scalar_view12_3clocals_3e4implB2v6B74c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZpAdYi4h_2brEjH2YRBHEcE0AEf16class_28int32_29,@object
	.comm	_ZN08NumbaEnv5numba7cpython7numbers11scalar_view12_3clocals_3e4implB2v6B74c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZpAdYi4h_2brEjH2YRBHEcE0AEf16class_28int32_29,8,8
	.type	_ZN08NumbaEnv5numba7cpython7numbers11scalar_view12_3clocals_3e4implB2v7B74c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZpAdYi4h_2brEjH2YRBHEcE0AEi18class_28float32_29,@object
	.comm	_ZN08NumbaEnv5numba7cpython7numbers11scalar_view12_3clocals_3e4implB2v7B74c8tJTIeFIjxB2IKSgI4CrvQClYb5wBbdC9Xqyfl5JUWJySXqtZpAdYi4h_2brEjH2YRBHEcE0AEi18class_28float32_29,8,8
	.section	".note.GNU-stack","",@progbits
